"""Verifies a record of sekisho's with nothing of sekisho's: verify.py FOLDER [PUBLIC-KEY] (docs/record.md says what is checked)."""
import hashlib, io, json, pathlib, re, sys
import zstandard
from base64 import b64decode
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

LINE = re.compile(rb'(\{"seq":([1-9]\d*),.*,"prev":"([0-9a-f]{64})"),"hash":"([0-9a-f]{64})"\}', re.DOTALL)
FILE = re.compile(r"(\d{20})-(\d{20})\.(jsonl|jsonl\.zst|stub)|(current)\.jsonl")

def fail(place, what):
    raise SystemExit(f"{place}: {what}")

def holds(keys, name, statement, signature, place):
    if name in keys:
        keys[name].verify(b64decode(signature), statement.encode())  # raises where it does not hold
    return name in keys

def name_of(key):
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]

def chain(folder, keys):
    seq, tip, lines, heads, announced, stubs = 0, "0" * 64, 0, 0, None, []
    found = sorted((m.group(4) or "", m.group(1) or "", path, m.group(3)) for path in folder.iterdir() if (m := FILE.fullmatch(path.name)))
    files = {(current, first): (path, form) for current, first, path, form in reversed(found)}  # of two forms of a file the first by name: .jsonl
    for _, (path, form) in sorted(files.items()):
        if form == "stub":
            stub = json.loads(path.read_text())
            said = "".join(f"{part}\n" for part in ["sekisho stub", *(stub[key] for key in ("chain", "first", "last", "prev", "hash", "removed"))])
            (stub["first"], stub["prev"]) == (seq + 1, tip) or fail(path, "the stub does not follow")
            stubs.append((stub["key"], said, stub["signature"], path))  # perhaps with a key that comes later
            seq, tip = stub["last"], stub["hash"]
            continue
        data = path.read_bytes()
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read() if form == "jsonl.zst" else data
        torn = None
        for number, line in enumerate(data.split(b"\n")[:-1], 1):  # what follows the last line feed is torn
            found = LINE.fullmatch(line)
            body, *said = found.groups() if found else (b"", b"", b"", b"")
            follows = found and int(said[0]) == seq + 1 and said[1].decode() == tip and hashlib.sha256(body).hexdigest() == said[2].decode()
            if not follows:
                torn = fail(f"{path}:{number - 1}", "broken") if torn else (number, hashlib.sha256(line).hexdigest())
                continue
            read, announced, by = json.loads(line), None, announced  # a key is announced by the line before a head alone
            if torn and (read.get("operation"), read.get("params", {}).get("sha256")) != ("torn", torn[1]):
                fail(f"{path}:{torn[0]}", "broken")
            if read["kind"] == "head":
                statement = f"sekisho head\n{read['chain']}\n{seq}\n{tip}\n{read['time']}\n"
                if holds(keys, read["key"], statement, read["signature"], path):
                    heads, _ = heads + 1, by and keys.update({name_of(by): by})
            elif (read["kind"], read.get("operation")) == ("system", "new_key"):
                announced = load_pem_public_key(read["params"]["public_key"].encode())
            seq, tip, torn, lines = int(said[0]), said[2].decode(), None, lines + 1
        torn and fail(f"{path}:{torn[0]}", "broken")
    all(holds(keys, *stub) or fail(stub[3], "the stub is not signed with the key") for stub in stubs)
    return lines, heads or (0 if stubs else fail(folder, "no head is signed with the key"))

root = pathlib.Path(sys.argv[1])
key = load_pem_public_key(pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else root / "audit.pub").read_bytes())
found = [chain(folder, {name_of(key): key}) for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name != "policies" and any(FILE.fullmatch(p.name) for p in folder.iterdir())]
print(f"verified {sum(lines for lines, _ in found)} lines, {sum(heads for _, heads in found)} heads")
