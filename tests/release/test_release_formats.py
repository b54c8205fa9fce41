"""Lists of releases and signers, lists of what is served, and signed lines: read exactly or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from release.made import WATCHER, listed
from support.world import ROOT
from tipbox.errors import BadSignature, LimitExceeded, Malformed, TipboxError, UnsupportedVersion
from tipbox.formats.base import canonical
from tipbox.formats.base.primitives import SigningKey
from tipbox.release.release_errors import RELEASE_ERRORS, ChainBroken
from tipbox.release.release_list import MAX_RELEASE, MAX_RELEASE_FILES, ReleaseList, order
from tipbox.release.served_list import MAX_SERVED, ServedList
from tipbox.release.signed_line import MAX_LINE, SignedLine, read_chain
from tipbox.release.signers import MAX_SIGNERS_FILE, LogPolicy, Signers

RELEASE = listed({"kit/a": b"a", "site/en/index.html": b"b"})
KEYS = {name: SigningKey(bytes([number] * 32)).verify_key.encode() for number, name in enumerate("abc")}
SIGNERS = Signers(KEYS, 2, 3, LogPolicy((KEYS["a"],), (KEYS["b"], KEYS["c"]), 1))
SERVED = ServedList.of(
    "1.2.0",
    {"Content-Security-Policy": "default-src 'none'"},
    {"/en/": (b"page", "text/html"), "/static/a.js": (b"js", "text/javascript"), "/error.html": (b"e", "h")},
)  # fmt: skip


def with_members(encoded: bytes, **change: Any) -> bytes:
    return canonical.encode(json.loads(encoded) | change, file_form=True)


def without(encoded: bytes, name: str) -> bytes:
    value = json.loads(encoded)
    del value[name]
    return canonical.encode(value, file_form=True)


KINDS: list[Any] = [
    (ReleaseList, RELEASE, MAX_RELEASE),
    (Signers, SIGNERS, MAX_SIGNERS_FILE),
    (ServedList, SERVED, MAX_SERVED),
]


@pytest.mark.parametrize(("kind", "value", "most"), KINDS, ids=["release", "signers", "served"])
def test_each_list_is_read_as_it_was_written_and_in_no_other_spelling(kind: Any, value: Any, most: int) -> None:
    data = value.encode()
    assert kind.parse(data) == value
    assert kind.parse(data).encode() == data
    refused: dict[bytes, type[TipboxError]] = {
        bytes(most + 1): LimitExceeded,
        data[:-1]: Malformed,
        data.replace(b"\n", b"\r\n"): Malformed,
        with_members(data, kind="other"): Malformed,
        with_members(data, more=1): Malformed,
        with_members(data, version=2): UnsupportedVersion,
        **{without(data, name): Malformed for name in json.loads(data) if name != "log"},
    }
    for spoilt, error in refused.items():
        with pytest.raises(error):
            kind.parse(spoilt)


HEX = "0" * 64


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"files": {f"f{n}": HEX for n in range(MAX_RELEASE_FILES + 1)}}, LimitExceeded),
        *(({"files": {path: HEX}}, Malformed) for path in ("../a", "/a", "a//b", "a/./b", "", "a b", "é", "a" * 201)),
        ({"files": {"a": HEX[1:]}}, Malformed),
        ({"files": []}, Malformed),
        ({"sbom": "nothing"}, Malformed),
        ({"floor": "1.2.1"}, Malformed),
        ({"floor": "1.2"}, Malformed),
        ({"release": "1.2.0-1"}, Malformed),
        ({"commit": "0" * 39}, Malformed),
        ({"previous": "0"}, Malformed),
        ({"expires": "2027-02-30"}, Malformed),
        ({"source_date_epoch": -1}, Malformed),
        ({"tools": {"a b": "1"}}, Malformed),
        ({"tools": {"a": 1}}, Malformed),
        ({"tools": {f"t{n}": "1" for n in range(65)}}, LimitExceeded),
    ],
)
def test_a_release_outside_its_bounds_is_refused(change: dict[str, Any], error: type[TipboxError]) -> None:
    with pytest.raises(error):
        ReleaseList.parse(with_members(RELEASE.encode(), **change))


def test_versions_sort_as_the_page_says() -> None:
    versions = ["0.9.0", "1.0.0.dev1", "1.0.0a1", "1.0.0a2", "1.0.0b1", "1.0.0rc1", "1.0.0", "1.0.1", "1.2.0", "1.10.0"]
    assert sorted(versions, key=order) == versions
    assert len({order(version) for version in versions}) == len(versions)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0},
        {"threshold": 4},
        {"number": 0},
        {"signers": []},
        {"signers": [{"key": "", "name": "a"}]},
        {"log": {"logs": [], "quorum": 0, "witnesses": []}},
        {"log": {"logs": [json.loads(SIGNERS.encode())["signers"][0]["key"]], "quorum": 1, "witnesses": []}},
    ],
)
def test_signers_outside_their_bounds_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TipboxError):
        Signers.parse(with_members(SIGNERS.encode(), **change))


def test_one_key_is_no_two_signers_and_names_ascend() -> None:
    listed_signers = json.loads(SIGNERS.encode())["signers"]
    twice = [listed_signers[0], {**listed_signers[0], "name": "b"}]
    small = [{"key": "A" * 43 + "=", "name": "a"}]
    for spoilt in (twice, listed_signers[::-1], [listed_signers[0], listed_signers[0]], small):
        with pytest.raises(Malformed):
            Signers.parse(with_members(SIGNERS.encode(), signers=spoilt, threshold=1))


def test_spellings_that_disagree_are_refused() -> None:
    value = json.loads(SERVED.encode())
    value["manifest"]["files"]["/en/index.html"] = value["manifest"]["files"]["/static/a.js"]
    with pytest.raises(Malformed, match="disagree"):
        ServedList.parse(canonical.encode(value, file_form=True))
    for path in ("hashes", "types", "manifest"):
        with pytest.raises(Malformed):
            ServedList.parse(with_members(SERVED.encode(), **{path: {}}))


# --- lines -----------------------------------------------------------------------------------------------------------


def chain(length: int = 4) -> list[bytes]:
    lines: list[SignedLine] = []
    for number in range(length):
        said: dict[str, Any] = {"at": f"2027-03-01T{number:02}", "previous": lines[-1].digest if lines else ""}
        lines.append(SignedLine.make("watch", said, WATCHER))
    return [line.data for line in lines]


def test_a_line_is_read_as_it_was_signed_or_refused() -> None:
    data = chain(1)[0]
    line = SignedLine.parse(data)
    assert (line.kind, line.said["at"], line.key) == ("watch", "2027-03-01T00", WATCHER.verify_key.encode())
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 2
        with pytest.raises(TipboxError):
            SignedLine.parse(bytes(changed))
    for spoilt in (data[:-1], data + b"\n", b"\n", b"{}\n", bytes(MAX_LINE + 1)):
        with pytest.raises(TipboxError):
            SignedLine.parse(spoilt)


def test_a_line_of_one_kind_is_none_of_the_other() -> None:
    line = SignedLine.make("rebuilt", {"commit": "0"}, WATCHER)
    with pytest.raises(BadSignature):
        SignedLine.parse(line.data.replace(b'"kind":"rebuilt"', b'"kind":"watch"'))
    with pytest.raises(ChainBroken):
        read_chain([line.data])


def test_a_chain_shows_what_was_left_out_put_in_or_changed() -> None:
    lines = chain()
    assert len(read_chain(lines)) == 4
    other = SignedLine.make("watch", {"previous": SignedLine.parse(lines[-1]).digest}, SigningKey(bytes(32)))
    spoilt = {
        "left out": [*lines[:1], *lines[2:]],
        "the first": lines[1:],
        "put in": [*lines[:2], lines[1], *lines[2:]],
        "swapped": [lines[0], lines[2], lines[1], lines[3]],
        "another's": [*lines, other.data],
        "changed": [lines[0], lines[1].replace(b"T01", b"T09"), *lines[2:]],
    }
    for one in spoilt.values():
        with pytest.raises(ChainBroken, match="line"):
            read_chain(one)


def test_the_errors_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "releases.md").read_text(encoding="utf-8").partition("## 7. Errors")[2]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in page.splitlines() if line.startswith("| `")]
    assert {(code, int(status)) for code, status in rows} == {
        (error.code, int(error.exit_code)) for error in RELEASE_ERRORS
    }
