"""What sekisho reads of a request message is what protobuf reads of it: MLflow acts on half a message where it is not."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import messages
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from harness.sekisho import ROOT, binary

TABLE = ROOT / "src" / "route" / "table" / "messages.txt"
TRIES = 150
DEEPEST = 5


class Digits:
    """A number that is written as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | Digits | None"


def test_the_table_is_the_installed_packages() -> None:
    """Another MLflow has other messages; then the file is printed anew."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        messages.main()
    assert TABLE.read_text() == printed.getvalue()


def test_no_spelling_names_two_fields() -> None:
    """A key means one field, and none has the name of a group of alternatives, by which protobuf counts them."""
    for message in every_message():
        names = [name for field in message.fields for name in {field.name, field.json_name}]
        groups = {group.name for group in message.oneofs if len(group.fields) > 1}
        assert len(names) == len(set(names)), message.full_name
        assert not groups & set(names), message.full_name


@pytest.mark.parametrize("seed", range(3))
def test_what_is_accepted_is_parsed_by_protobuf_to_the_end(reader: Callable[[Sequence[str]], list[str]], seed: int) -> None:
    """Random bodies, sound and unsound: whatever passes, protobuf reads whole and as it was sent."""
    invent = Inventor(random.Random(seed))
    lines, tried = [], []
    for message in every_message():
        for _ in range(TRIES):
            text = written(invent.body(message))
            lines.append(f"{messages.short(message.full_name)}\t{text}")
            tried.append((message, text))
    accepted = 0
    for (message, sent), answer in zip(tried, reader(lines), strict=True):
        verdict, _, forwarded = answer.partition("\t")
        if verdict == "ok":
            accepted += 1
            assert parsed(message, forwarded) == parsed(message, sent), f"{message.full_name}: {sent} became {forwarded}"
    assert len(lines) / 5 < accepted < len(lines), f"{accepted} of {len(lines)}: the bodies prove nothing"


def test_sound_bodies_are_accepted(reader: Callable[[Sequence[str]], list[str]]) -> None:
    """Whatever protobuf itself writes down is read, in both spellings."""
    invent = Inventor(random.Random(0), sound=True)
    lines = []
    for message in every_message():
        for _ in range(TRIES // 5):
            read = parsed(message, written(invent.body(message)))
            for keep in (True, False):
                text = json_format.MessageToJson(read, indent=None, preserving_proto_field_name=keep)
                lines.append(f"{messages.short(message.full_name)}\t{text}")
    refused = [f"{line} {answer}" for line, answer in zip(lines, reader(lines), strict=True) if answer[:3] != "ok\t"]
    assert not refused, refused[:5]


@pytest.fixture(scope="module")
def reader() -> Callable[[Sequence[str]], list[str]]:
    """Runs lines through `examples/read_message.rs`, which is built first."""
    folder = binary().parent
    subprocess.run(["cargo", "build", "--quiet", "--example", "read_message"], cwd=ROOT, env=in_target(folder), check=True)
    program = folder / "examples" / "read_message"

    def read(lines: Sequence[str]) -> list[str]:
        sent = "".join(f"{line}\n" for line in lines)
        done = subprocess.run([program], input=sent, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout.split("\n")[:-1]

    return read


def in_target(folder: Path) -> dict[str, str]:
    """The environment in which cargo builds into the folder that the binary lies in."""
    return {**os.environ, "CARGO_TARGET_DIR": str(folder.parent)}


def every_message() -> list[Descriptor]:
    """Every message that a request can hold."""
    found: dict[str, Descriptor] = {}

    def visit(message: Descriptor) -> None:
        if message.full_name in found or message.full_name.startswith("google.protobuf."):
            return
        found[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                visit(field.message_type)

    for service in messages.SERVICES:
        for method in service.DESCRIPTOR.methods:
            visit(method.input_type)
    return [found[name] for name in sorted(found)]


def parsed(message: Descriptor, text: str) -> object:
    """The message as MLflow's `parse_dict` reads it; a parse error is the test's failure. A key in brackets, which names
    an extension, is taken out: it alone would end the parsing, and sekisho drops it like any other unknown key."""
    read = GetMessageClass(message)()
    plain = json.loads(text, object_pairs_hook=lambda pairs: {name: value for name, value in pairs if name[:1] != "["})
    json_format.ParseDict(plain, read, ignore_unknown_fields=True)
    return read


def written(value: Json) -> str:
    """JSON with numbers digit by digit."""
    match value:
        case Digits():
            return value.text
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{written(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ",".join(map(written, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


class Inventor:
    """Makes up bodies: mostly right ones, with what protobuf stumbles over strewn in unless they shall be sound."""

    def __init__(self, chance: random.Random, sound: bool = False) -> None:
        self.chance = chance
        self.sound = sound

    def body(self, message: Descriptor, depth: int = 0) -> dict[str, Json]:
        made: dict[str, Json] = {}
        for field in self.some_fields(message):
            name = self.chance.choice([field.name, field.json_name])
            made[name] = None if self.mischief(0.02) else self.value(field, depth)
        runs = [name for name in ("run_id", "runId", "run_uuid", "runUuid") if name in made]
        if len(runs) > 1 and not self.mischief(0.1):
            made[runs[0]] = made[runs[1]]
        if self.mischief(0.1):
            made[self.chance.choice(["unknown", "[ext.name]", "", "__proto__"])] = self.chance.choice([None, 1, {"a": []}])
        return made

    def some_fields(self, message: Descriptor) -> Iterator[FieldDescriptor]:
        taken: set[str] = set()
        fields = list(message.fields)
        self.chance.shuffle(fields)
        for field in fields:
            group = field.containing_oneof.name if field.containing_oneof else field.name
            if self.chance.random() < 0.5 and (group not in taken or self.mischief(0.1)):
                taken.add(group)
                yield field

    def mischief(self, likelihood: float) -> bool:
        return not self.sound and self.chance.random() < likelihood

    def value(self, field: FieldDescriptor, depth: int) -> Json:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return {self.text(): self.text() for _ in range(self.chance.randrange(3))}
        if not field.is_repeated:
            return self.single(field, depth)
        many: list[Json] = [self.single(field, depth) for _ in range(self.chance.randrange(3))]
        return [*many, None] if self.mischief(0.02) else many

    def single(self, field: FieldDescriptor, depth: int) -> Json:
        if self.mischief(0.02):
            return self.chance.choice([None, True, 1, "x", [], {}, Digits("1e400"), "\ud7ff"])
        if field.message_type is not None:
            return self.inner(field.message_type, depth)
        if field.enum_type is not None:
            return self.one_of(field.enum_type)
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_BOOL:
                return self.chance.choice([True, False])
            case FieldDescriptor.CPPTYPE_STRING:
                return "QQ==" if field.type == FieldDescriptor.TYPE_BYTES else self.text()
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return self.pick(["1.5", "-0.0", "0", "3e10"], ["1e308", "1e39", "-1e39", "9" * 300, "1E-400", "1e400"], ["NaN", "Infinity"])
            case FieldDescriptor.CPPTYPE_INT64 | FieldDescriptor.CPPTYPE_UINT64:
                edge = ["9223372036854775807", "9223372036854775808", "9223372036854775807.0", "9007199254740993.0", "-9223372036854775808.0"]
                return self.pick(["0", "7", "1795510702735"], ["-1", "1.0", "1e2", "1.5", "-0", *edge], ["5", "-5", "+5", "5 ", "1_0", "1.0", *edge])
            case _:
                edge = ["2147483647", "2147483648", "2147483647.0", "-2147483648.0", "4294967295", "4294967296"]
                return self.pick(["0", "7", "100"], ["-1", "1.0", "1e2", *edge], ["5", "0x5", "٥", *edge])

    def pick(self, plain: Sequence[str], odd: Sequence[str], quoted: Sequence[str]) -> Json:
        if self.mischief(0.3):
            return self.chance.choice([Digits(self.chance.choice(odd)), self.chance.choice(quoted)])
        return Digits(self.chance.choice(plain))

    def one_of(self, enum: EnumDescriptor) -> Json:
        value = self.chance.choice(enum.values)
        odd: list[Json] = [value.number, str(value.number), 9999, "9999", value.name.lower(), f" {value.number}", Digits("1.0"), "-1", "01"]
        return self.chance.choice(odd) if self.mischief(0.2) else value.name

    def inner(self, message: Descriptor, depth: int) -> Json:
        match message.full_name:
            case "google.protobuf.Timestamp":
                return self.chance.choice(TIMES if self.mischief(0.4) else TIMES[:3])
            case "google.protobuf.Duration":
                return self.chance.choice(DURATIONS if self.mischief(0.4) else DURATIONS[:3])
            case "google.protobuf.FieldMask":
                return self.chance.choice(MASKS if self.mischief(0.4) else MASKS[:2])
            case "google.protobuf.Value":
                return self.chance.choice([None, True, 1.5, "x", [1, None, {"a": [2]}], {"b": None, "c": {}}])
        return self.body(message, depth + 1) if depth < DEEPEST else {}

    def text(self) -> str:
        return self.chance.choice(["", "a", "é", "mine", "a\tb", "\x00", "𝄞", '"\\', "None", "true", "1", "\u2028", "m-0f"])


TIMES = [
    "2024-02-29T12:00:00Z",
    "1972-01-01T10:00:20.021-05:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "2024-02-29T12:00:00.1234567891Z",
    "2024-02-30T12:00:00Z",
    "2024-02-29T12:00:60Z",
    "2024-02-29T24:00:00Z",
    "2024-02-29T12:00:00+05",
    "2024-02-29T12:00:00+0530",
    "2024-02-29T12:00:00+05:30:30",
    "2024-02-29T12:00:00+24:30",
    "20240229T120000.0000Z",
    "2024-02-29T120000.0000Z",
    "2024-02-29T12:00.00000Z",
    "2024-02-29t12:00:00Z",
    "2024-02-29 12:00:00Z",
    "2024-02-29T12:00:00z",
    "2024-02-29T12:00:00",
    "+002024-02-29T12:00:00Z",
    "-000001-02-28T12:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "2024-02-29T12:00:00Z[UTC]",
    "2024-02-29T12:00:00.Z",
]
DURATIONS = ["1s", "-1.5s", "0.000000001s", "1.s", ".5s", "99999999999s", "1.0000000001s", "-0.5s", "1", "s", "1 s", "1e3s", "+1s", "-s", "1_0s"]
MASKS = ["", "name,tagsKey", "a.b,c", "a_b", ",", "a,,b", "a.", "1a", "A", "a b", "aB9"]
