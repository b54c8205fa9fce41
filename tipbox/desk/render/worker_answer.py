"""What came back from a sandbox, checked: bounded JSON, bounded text, raw pixels, plain samples, and nothing else.

The one who wrote the file may have written the answer too. So each member has a type, a bound and a closed set where it
names something, and what does not fit makes the whole answer void.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from typing import Any, Final

from tipbox.desk.render.look_lines import LINES, SIGNS, WORKERS_LINES, WORKERS_SIGNS, Line, Sign

MAX_JSON: Final = 2 << 20
MAX_TEXT: Final = 200_000
"""Characters of text."""
MAX_FACTS: Final = 400
MAX_WORD: Final = 500
"""Characters of the name or the value of a fact, and of a name in an archive."""
MAX_ENTRIES: Final = 1000
MAX_DEPTH: Final = 2
MAX_PICTURES: Final = 8
MAX_SIDE: Final = 2400
"""Pixels of a side of a picture."""
SIDE: Final = 1200
"""Pixels of the longer side of what people are shown."""
MAX_SOUND: Final = 20 * 8000 * 2
"""Bytes: 20 seconds of 8,000 samples of 16 bits, one channel."""
MAX_NUMBER: Final = 1 << 62

_MAGIC: Final = b"TBX1"
_FRAME: Final = 8
"""Bytes before the JSON: magic and size."""
_STRUCT_DEPTH: Final = 4
"""Levels of a structure of metadata that are shown."""
_SIDES: Final = struct.Struct(">HH")
_KIND: Final = re.compile(r"[a-z0-9]{0,16}", re.ASCII)
_LIKENESS: Final = re.compile(r"([0-9a-f]{16})?", re.ASCII)
_MEMBERS: Final = {
    "cut": bool,
    "entries": list,
    "facts": list,
    "kind": str,
    "likeness": str,
    "line": str,
    "more_entries": int,
    "pictures": int,
    "signs": list,
    "sound": int,
    "text": str,
}
_MIME: Final = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}", re.ASCII)
_LISTED: Final = re.compile(r"\S{10,11}\s+\S+\s+\S+\s+\S+\s+(\d{1,18})\s+\S+\s+\S+\s+\S+\s(.+)")
"""A line of ``bsdtar --list --verbose``."""
_OWN_GROUPS: Final = frozenset({"ExifTool", "File", "System"})
"""What exiftool says of itself and of the file that it was given, which has no name."""


def max_answer(side: int, count: int) -> int:
    """Bytes of an answer to a look that asked for so many pictures of such a size."""
    return _FRAME + MAX_JSON + count * (_SIDES.size + 3 * side * side) + MAX_SOUND


class BadAnswer(Exception):
    """The answer is none that was agreed."""


@dataclass(frozen=True)
class Picture:
    """Raw pixels: three bytes each, red, green and blue, rows from the top."""

    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True)
class Entry:
    """What lies in an archive, or beside a letter; ``depth``: in how many archives more."""

    name: str
    size: int
    packed: int
    depth: int


@dataclass(frozen=True)
class Answer:
    """A checked answer. All words in it are a source's: whoever shows them makes them harmless for where they go."""

    kind: str = ""
    line: Line | None = None
    signs: frozenset[Sign] = frozenset()
    facts: tuple[tuple[str, str], ...] = ()
    entries: tuple[Entry, ...] = ()
    more_entries: int = 0
    text: str = ""
    cut: bool = False
    pictures: tuple[Picture, ...] = ()
    sound: bytes = b""
    likeness: str = ""


def parse_answer(data: bytes) -> Answer:
    """Check an answer of ``worker/look_worker.py``.

    Raises:
        BadAnswer: anything in it is not as agreed.
    """
    if data[:4] != _MAGIC or len(data) < _FRAME:
        raise BadAnswer
    (size,) = struct.unpack(">I", data[4:_FRAME])
    if size > MAX_JSON or len(data) < _FRAME + size:
        raise BadAnswer
    value = _json(data[_FRAME : _FRAME + size])
    if not isinstance(value, dict) or value.keys() != _MEMBERS.keys():
        raise BadAnswer
    for name, kind in _MEMBERS.items():
        if type(value[name]) is not kind:  # a bool is an int, too
            raise BadAnswer
    rest = memoryview(data)[_FRAME + size :]
    pictures, rest = _pictures(rest, _number(value["pictures"], MAX_PICTURES))
    sound = bytes(rest)
    if len(sound) != _number(value["sound"], MAX_SOUND) or len(sound) % 2:
        raise BadAnswer
    return Answer(
        kind=_matching(_KIND, value["kind"]),
        line=_line(value["line"]),
        signs=_signs(value["signs"]),
        facts=_facts(value["facts"]),
        entries=_entries(value["entries"]),
        more_entries=_number(value["more_entries"], MAX_NUMBER),
        text=_text(value["text"], MAX_TEXT),
        cut=value["cut"],
        pictures=pictures,
        sound=sound,
        likeness=_matching(_LIKENESS, value["likeness"]),
    )


def parse_type(data: bytes) -> str:
    """The type that ``file --mime-type`` names; empty when it is none.

    What is not one is no reason to mistrust the file: the program says so in words when it does not know.
    """
    found = data.decode("ascii", errors="replace").strip()
    return found if _MIME.fullmatch(found) else ""


def parse_metadata(data: bytes) -> tuple[tuple[str, str], ...]:
    """What ``exiftool -j -G -a -struct`` found, as names and values.

    Raises:
        BadAnswer: it is not the JSON that exiftool writes.
    """
    value = _json(data, pairs=True)
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], _Pairs):
        raise BadAnswer
    facts: list[tuple[str, str]] = []
    for name, held in value[0].pairs:
        group = name.partition(":")[0]
        if group not in _OWN_GROUPS and name != "SourceFile":
            facts += _flat(name, held, 0)
    return tuple((_cut(name), _cut(word)) for name, word in facts[:MAX_FACTS])


@dataclass(frozen=True)
class _Pairs:
    """The members of an object in their order: a name may come twice."""

    pairs: list[tuple[str, Any]]


def _flat(name: str, value: object, depth: int) -> list[tuple[str, str]]:
    """A value of several as several facts."""
    if isinstance(value, _Pairs) and depth < _STRUCT_DEPTH:
        return [fact for inner, held in value.pairs for fact in _flat(f"{name}.{inner}", held, depth + 1)]
    if isinstance(value, list) and depth < _STRUCT_DEPTH:
        return [fact for held in value[:MAX_FACTS] for fact in _flat(name, held, depth + 1)]
    if isinstance(value, bool | int | float | str):
        return [(name, str(value))]
    return []


def parse_listing(data: bytes) -> tuple[tuple[Entry, ...], int]:
    """What ``bsdtar --list --verbose`` lists: the first entries, and how many more there are."""
    found = [match for line in data.decode(errors="replace").splitlines() if (match := _LISTED.fullmatch(line))]
    entries = tuple(Entry(match[2][:MAX_WORD], int(match[1]), 0, 0) for match in found[:MAX_ENTRIES])
    return entries, len(found) - len(entries)


def _cut(word: str) -> str:
    return _text(word, len(word))[:MAX_WORD]


def _json(data: bytes, *, pairs: bool = False) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_Pairs if pairs else None)
    except (ValueError, RecursionError) as error:
        raise BadAnswer from error


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise BadAnswer
    return value


def _text(value: object, most: int) -> str:
    """A string of characters that can be written as UTF-8."""
    if not isinstance(value, str) or len(value) > most:
        raise BadAnswer
    return value.encode(errors="replace").decode()  # halves of pairs, which JSON can write


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise BadAnswer
    return value


def _line(code: str) -> Line | None:
    if not code:
        return None
    line = LINES.get(code)
    if line not in WORKERS_LINES:
        raise BadAnswer
    return line


def _signs(codes: list[Any]) -> frozenset[Sign]:
    signs = frozenset(SIGNS.get(code) for code in codes if isinstance(code, str))
    if len(signs) != len(codes) or not signs <= WORKERS_SIGNS:
        raise BadAnswer
    return frozenset(sign for sign in signs if sign is not None)


def _facts(value: list[Any]) -> tuple[tuple[str, str], ...]:
    if len(value) > MAX_FACTS:
        raise BadAnswer
    facts = []
    for fact in value:
        match fact:
            case [name, word]:
                facts.append((_text(name, MAX_WORD), _text(word, MAX_WORD)))
            case _:
                raise BadAnswer
    return tuple(facts)


def _entries(value: list[Any]) -> tuple[Entry, ...]:
    if len(value) > MAX_ENTRIES:
        raise BadAnswer
    entries = []
    for entry in value:
        match entry:
            case [name, size, packed, depth]:
                pass
            case _:
                raise BadAnswer
        entries.append(
            Entry(
                _text(name, MAX_WORD),
                _number(size, MAX_NUMBER),
                _number(packed, MAX_NUMBER),
                _number(depth, MAX_DEPTH),
            )
        )
    return tuple(entries)


def _pictures(data: memoryview, count: int) -> tuple[tuple[Picture, ...], memoryview]:
    pictures = []
    for _ in range(count):
        try:
            width, height = _SIDES.unpack_from(data)
        except struct.error as error:
            raise BadAnswer from error
        end = _SIDES.size + 3 * width * height
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or len(data) < end:
            raise BadAnswer
        pictures.append(Picture(width, height, bytes(data[_SIDES.size : end])))
        data = data[end:]
    return tuple(pictures), data
