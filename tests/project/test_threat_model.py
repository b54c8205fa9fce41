"""Each sentence of docs/threat-model.md has its tests in threat_model.toml, or the reason why none can hold it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from project.docs_check import ROOT, prose
from tipbox.desk.importing.importer import MAX_AHEAD, MAX_STORED_DAYS
from tipbox.desk.keys.ceremony import YEAR_KEYS
from tipbox.desk.keys.destroy import DRAFT_DAYS, MARGIN_DAYS, RETENTION_DAYS
from tipbox.formats.base.limits import (
    ARGON2_MEMORY,
    ARGON2_PASSES,
    GIB,
    KEY_SIZE,
    KIB,
    MAILBOX_PIECE,
    MAILBOX_TOKENS,
    MANIFEST_DAYS,
    MAX_LETTER,
    MAX_SLOTS,
    MIB,
    RECEIVING_KEY_DAYS,
    SEAL_SIZE,
)
from tipbox.server.config import GB, LARGEST_RESERVE, LONG_LETTER, MB, Limits, Quota, Retention
from tipbox.server.storage.models import Base
from tipbox.server.upkeep.prune import COUNTED_DAYS
from tipbox.server.uploads.buckets import DAILY_SHARE, STEPS
from tipbox.server.uploads.drafts import FINISHED_DAYS
from tipbox.server.uploads.openings import STEP
from tipbox.source.recipients import MAX_UNVERIFIED

PAGE = ROOT / "docs" / "threat-model.md"
MAP = Path(__file__).with_name("threat_model.toml")

_BULLET = re.compile(r"^\s*-\s+")
_DASH = "\N{EN DASH}"


# --- what the page says -----------------------------------------------------------------------------------------------


def sentences(page: str) -> list[str]:
    """Every sentence of a page, in order; of a table each cell, as "row, column: cell".

    A sentence has a line of its own. Column names end at their colon; a dash says nothing.
    """
    found, columns = [], list[str]()
    for line in prose(page):
        if line.is_heading or not line.text.strip():
            columns = []
        elif not line.is_row:
            found.append(_BULLET.sub("", line.text).strip())
        else:
            row, *cells = (cell.strip() for cell in line.text.strip().strip("|").split("|"))
            if not columns:
                columns = [cell.partition(":")[0] for cell in cells]
            elif row.strip("-"):
                pairs = zip(columns, cells, strict=True)
                found += [f"{row}, {column}: {cell}" for column, cell in pairs if cell != _DASH]
    return found


# --- what the map says ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What holds one sentence: its tests, and in words what they do not hold."""

    text: str
    tests: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Map:
    """The file: the lines that claim nothing, and an entry for each sentence that does."""

    leads: tuple[str, ...]
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Map:
        entries = [Entry(one.pop("text"), tuple(one.pop("tests", ())), **one) for one in content["sentence"]]
        return cls(tuple(content["leads"]), tuple(entries))


@cache
def names_in(path: Path) -> frozenset[str]:
    """The tests that a file of Python defines: functions, classes, and functions of classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = [(f"{one.name}::", one.body) for one in tree.body if isinstance(one, ast.ClassDef)]
    return frozenset(
        prefix + one.name
        for prefix, body in [("", tree.body), *inner]
        for one in body
        if isinstance(one, ast.FunctionDef | ast.ClassDef) and re.match(r"(?i)test", one.name)
    )


def is_test(name: str, root: Path = ROOT) -> bool:
    """Whether a file of tests, or one of its tests, is there. A test of the client is named by what it says."""
    path, _, test = name.partition("::")
    if not (root / path).is_file() or not re.search(r"/(test|bench)_\w+\.py$|\.test\.ts$", path):
        return False
    if path.endswith(".py"):
        return test in names_in(root / path) if test else bool(names_in(root / path))
    text = (root / path).read_text(encoding="utf-8")
    return re.search(rf"""\bit(\.each\(.*\))?\(\s*"{re.escape(test)}["]""", text) is not None


def faults(page: str, known: Map, root: Path = ROOT) -> Iterator[str]:
    """What is wrong between a page and its map, one line each."""
    said = Counter(sentences(page))
    listed = Counter([*known.leads, *(entry.text for entry in known.entries)])
    yield from (f"the page says it twice: {text}" for text, times in said.items() if times > 1)
    yield from (f"listed twice: {text}" for text, times in listed.items() if times > 1)
    yield from (f"not listed: {text}" for text in said if text not in listed)
    yield from (f"not on the page: {text}" for text in listed if text not in said)
    for entry in known.entries:
        if not entry.tests and not entry.why:
            yield f"neither tests nor why: {entry.text}"
        yield from (f"no such test: {name}" for name in entry.tests if not is_test(name, root))


def load() -> Map:
    return Map.of(tomllib.loads(MAP.read_text(encoding="utf-8")))


def test_each_sentence_has_its_tests_or_a_reason() -> None:
    assert list(faults(PAGE.read_text(encoding="utf-8"), load())) == []


# --- the numbers of the page are those of the code --------------------------------------------------------------------

QUOTA, LIMITS, RETENTION = Quota(), Limits(), Retention()
REST = 4 * KIB
"""Of a letter, beside its text (docs/format.md, 4.3)."""
WORDS = {2: "two", 4: "a quarter", 5: "a fifth", 7: "seven", 8: "eight", 10: "ten"}
BENCH = (ROOT / "tests" / "bench" / "bench_mailbox.py").read_text(encoding="utf-8")
ANNOUNCED = QUOTA.carry_capacity // DAILY_SHARE
"""Bytes of the bucket for announced files, and of a day."""
EMPTYING = QUOTA.letters_burst // LIMITS.openings
"""Circuits that empty the bucket of letters."""
LONG = -(-QUOTA.long_letter_bytes // MAX_LETTER // LIMITS.openings)
"""Circuits that empty that of long ones."""


@pytest.mark.parametrize(
    "said",
    [
        f"in one request of {MAILBOX_TOKENS} tokens",
        f"until they expire, {MANIFEST_DAYS // 7} weeks at most",
        f"that organisation's {SEAL_SIZE} bytes at its end",
        f"Argon2id, {ARGON2_MEMORY // MIB} MiB, {ARGON2_PASSES} passes",
        f"{RECEIVING_KEY_DAYS} days of use, {DRAFT_DAYS} of draft life,",
        f"{RETENTION_DAYS} of retention, {MARGIN_DAYS} spare",
        f"{KEY_SIZE} bytes derived from the access code",
        f"more than {MAX_STORED_DAYS} days before",
        f"({WORDS[100 // QUOTA.reserve_percent]}, at most {LARGEST_RESERVE // GIB} GiB)",
        f"opens {LIMITS.openings} uploads at once, and then one in {WORDS[STEP // 60]} minutes",
        f"that of texts ({QUOTA.letters_burst:,}) {EMPTYING:,} circuits at once",
        f"more than {QUOTA.letters_per_second * STEP:,.0f} for hours",
        f"it gives {QUOTA.letters_per_second:.0f} a second then",
        f"{QUOTA.letters_per_second:.0f} texts a second, and {ANNOUNCED // GB} GB a day of announced files",
        f"that of long texts ({QUOTA.long_letter_bytes // MB} MB) {LONG} circuits in less than two minutes",
        f"files up to {round(ANNOUNCED / STEPS / MB)} MB wait for seconds",
        f"texts up to {(LONG_LETTER - REST) // KIB} KiB still get through",
        f"({WORDS[DAILY_SHARE]} of what couriers can carry, {ANNOUNCED // GB} GB)",
        f"it can run {MAX_AHEAD:,} ahead with each Bundle",
        f"equal within {re.findall(r'^BOUND_MS: Final = (.+)$', BENCH, re.MULTILINE)[0]} ms",
        f"pieces ({MAILBOX_PIECE // KIB} KiB each)",
        f"uncarried after its {RETENTION.days} days",
        f"fills at most {WORDS[MAX_UNVERIFIED]} such slots",
        f"organisations in its bytes that can be sealed to, {MAX_SLOTS} at most",
        f"Keys for up to a year and {WORDS[RECEIVING_KEY_DAYS * YEAR_KEYS // 7 - 52]} weeks",
        f"for {WORDS[FINISHED_DAYS]} days: a hash",
        f"of long letters, for {WORDS[COUNTED_DAYS]} days",
    ],
)
def test_a_number_of_the_page_is_that_of_the_code(said: str) -> None:
    assert said in PAGE.read_text(encoding="utf-8")


def test_the_page_s_arithmetic_is_that_of_the_settings() -> None:
    assert QUOTA.long_letter_bytes < 2 * LIMITS.open * MAX_LETTER, "in less than two minutes"
    assert (RETENTION.draft_days, RETENTION.days) == (DRAFT_DAYS, RETENTION_DAYS)


TABLES = {
    "day_count": "**Counts of a day**",
    "decoy": "Decoys",
    "decoy_opening": "Decoys",
    "deposit": "For as long as replies are kept, also the hash of each item",
    "draft": "**Unfinished uploads**",
    "capsule": "**Unfinished uploads**",
    "draft_letter": "**Unfinished uploads**",
    "envelope": "**Envelopes**",
    "finished": "**Finished uploads**",
    "gone": "**What was let go of**",
    "head": "Of each desk, the newest head",
    "host": "**Hosts**",
    "inward": "**Bundles**",
    "ledger": "**The clock**",
    "manifest": "**Organisations**",
    "organisation": "**Organisations**",
    "refused_item": "Of each desk, the newest head",
    "reply": "**Mailboxes**",
    "reply_opening": "**Mailboxes**",
    "run": "**Unfinished uploads**",
    "series": "**Bundles**",
    "server": "**The server's private keys**",
    "slot": "**Acknowledgements**",
    "volume": "**Bundles**",
}
"""Where section 4 says what each table of the server shows."""


def test_each_table_of_the_server_is_named_in_section_4() -> None:
    section = sentences(PAGE.read_text(encoding="utf-8").split("\n## 4. ")[1].split("\n## ")[0])
    assert TABLES.keys() == Base.metadata.tables.keys()
    assert [start for start in TABLES.values() if not any(one.startswith(start) for one in section)] == []


# --- what the check finds ---------------------------------------------------------------------------------------------

SMALL = f"""# A page

Words that introduce.

- **Thief.**
  Gets a key.
  Does not get words.

| about | S: seized | L: live |
|---|---|---|
| size | hidden | {_DASH} |
"""
GOOD = Map(
    ("Words that introduce.", "**Thief.**"),
    (
        Entry("Gets a key.", ("tests/test_it.py::test_a", "tests/test_it.py::TestIt::test_b")),
        Entry("Does not get words.", ("tests/test_it.py", "client/test/a.test.ts::opens nothing")),
        Entry("size, S: hidden", why="physics"),
    ),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        "def test_a(): pass\n\n\nclass TestIt:\n    def test_b(self): pass\n", encoding="utf-8"
    )
    (tmp_path / "tests" / "help.py").write_text("def test_a(): pass\n", encoding="utf-8")
    (tmp_path / "client" / "test").mkdir(parents=True)
    (tmp_path / "client" / "test" / "a.test.ts").write_text('it("opens nothing", () => {});\n', encoding="utf-8")
    return tmp_path


def test_a_page_whose_sentences_are_all_listed_has_no_faults(tree: Path) -> None:
    assert list(faults(SMALL, GOOD, tree)) == []


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (SMALL.replace("a key", "two keys"), "not listed: Gets two keys."),
        (SMALL.replace("a key", "two keys"), "not on the page: Gets a key."),
        (SMALL.replace("  Gets a key.\n", ""), "not on the page: Gets a key."),
        (f"{SMALL}\nGets a key.\n", "the page says it twice: Gets a key."),
        (SMALL.replace(f"| {_DASH} |", "| shown |"), "not listed: size, L: shown"),
        (SMALL.replace("introduce.", "introduce.\nAnd a new one:"), "not listed: And a new one:"),
    ],
)
def test_a_changed_page_is_found(tree: Path, page: str, fault: str) -> None:
    assert fault in list(faults(page, GOOD, tree))


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_it.py::test_b",
        "tests/test_it.py::test_a[x]",
        "tests/test_it.py::TestIt::test_a",
        "tests/test_gone.py",
        "tests/help.py::test_a",
        "tests",
        "client/test/a.test.ts::opens",
    ],
)
def test_a_test_that_is_not_there_is_found(tree: Path, name: str) -> None:
    entries = (replace(GOOD.entries[0], tests=(name,)), *GOOD.entries[1:])
    assert list(faults(SMALL, replace(GOOD, entries=entries), tree)) == [f"no such test: {name}"]


def test_an_entry_that_gives_nothing_is_found(tree: Path) -> None:
    entries = (*GOOD.entries[:2], replace(GOOD.entries[2], why=""))
    assert list(faults(SMALL, replace(GOOD, entries=entries), tree)) == ["neither tests nor why: size, S: hidden"]


def test_a_sentence_that_is_listed_twice_is_found(tree: Path) -> None:
    entries = (*GOOD.entries, GOOD.entries[2])
    assert list(faults(SMALL, replace(GOOD, entries=entries), tree)) == ["listed twice: size, S: hidden"]
