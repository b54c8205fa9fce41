"""Whether an answer is what it should be; what differs, in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from tipbox.errors import TipboxError
from tipbox.files.printable import printable
from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteList
from tipbox.release.release_list import order
from tipbox.release.served_list import FALLBACK, WEBCAT, ServedList
from tipbox.verify.rendering import FILES, SERVED, Expected

NOW: Final = "/api/now"
_OF_HTTP: Final = frozenset({
    "age", "allow", "connection", "content-encoding", "content-length", "content-type", "date", "keep-alive",
    "retry-after", "transfer-encoding", "vary",
})  # fmt: skip
"""What an answer may have beside the listed headers: it says nothing to a page."""
_ENCODINGS: Final[tuple[list[str], ...]] = ([], ["gzip"])
BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which a path is asked for again; what such an answer shows is judged all the same."""
_OF_PATH: Final[Mapping[str, Mapping[str, str]]] = {"/leave": {"Clear-Site-Data": '"*"'}}
_SHOWN: Final = 120
_REDIRECTS: Final = 3
_KEYS: Final = "/keys/"
_WEBCAT: Final = tuple(f"/.well-known/webcat/{name}.json" for name in WEBCAT)
_JSON: Final = "application/json"
_HTML: Final = "text/html"


@dataclass(frozen=True)
class Answer:
    """What came back for a path: headers as pairs, for one that comes twice is one too many.

    Attributes:
        status: 0 where it was no answer of HTTP.
        whole: whether it came to its end; else ``body`` is what came of it.
    """

    path: str
    status: int
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool = True

    def all(self, name: str) -> list[str]:
        """The values of a header, by its name in small letters."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def digest(self) -> str:
        """SHA-256 of the body, hex; of a redirect, of where it leads."""
        where = "" if self.status == HTTPStatus.OK else repr((self.status, self.all("location")))
        return sha256(where.encode() + self.body).hexdigest()

    @property
    def counts(self) -> bool:
        """Whether it is an answer, and not a part of one, or the word that the server is busy."""
        return self.whole and self.status not in BUSY

    @property
    def is_redirect(self) -> bool:
        """Whether it leads elsewhere."""
        return self.status // 100 == _REDIRECTS


@dataclass(frozen=True)
class Difference:
    """One finding.

    Attributes:
        kind: one of a closed set, for programs.
        text: a sentence for people.
    """

    kind: str
    path: str
    text: str


def judge(answer: Answer, expected: Expected, redirects: Mapping[str, str]) -> list[Difference]:
    """What is wrong with an answer."""
    if not answer.status:
        return [Difference("broken", answer.path, f"{answer.path}: what comes back is no answer of HTTP")]
    found = _headers(answer, expected)
    if answer.status in BUSY:
        return [*found, *_busy(answer, expected)]
    if answer.path in redirects:
        return [*found, *_redirect(answer, redirects[answer.path])]
    if answer.path == NOW:
        return found
    is_given = answer.path.startswith(_KEYS) or answer.path in _WEBCAT
    if is_given and answer.status == HTTPStatus.OK and answer.all("content-type") == [_JSON]:
        return found
    known = answer.path in expected.bodies and answer.path != "/error.html"
    if (200 if known else 404) != answer.status or answer.all("location"):
        return [*found, _status(answer, known=known)]
    body = expected.bodies[answer.path] if known else expected.error
    kind = expected.types[answer.path] if known else expected.types["/error.html"]
    if answer.all("content-type") != [kind]:
        found.append(Difference("header", answer.path, f"{answer.path}: Content-Type is not {kind}"))
    if answer.body != body and (answer.whole or not body.startswith(answer.body)):
        found.append(_bytes(answer, body, known=known))
        found += _lists(answer, expected)
    return found


def _busy(answer: Answer, expected: Expected) -> list[Difference]:
    """A server that is busy says so with the page of errors, or in JSON: a browser shows the page of each status."""
    if answer.path == NOW and answer.all("content-type") == [_JSON]:
        return []
    is_page = answer.body == expected.error if answer.whole else expected.error.startswith(answer.body)
    if is_page and answer.all("content-type") == [expected.types[FALLBACK]] and not answer.all("location"):
        return []
    text = f"{answer.path}: the answer is {answer.status}, with another page than that of errors"
    return [Difference("error-page", answer.path, text)]


def _status(answer: Answer, *, known: bool) -> Difference:
    if answer.all("location"):
        where = printable(answer.all("location")[0], _SHOWN)
        return Difference("redirect", answer.path, f"{answer.path}: it leads elsewhere, to {where}")
    if known:
        return Difference("missing", answer.path, f"{answer.path}: the answer is {answer.status} and not the file")
    return Difference(
        "not-listed",
        answer.path,
        f"{answer.path}: nobody made this path, and the answer is {answer.status}, not 404",
    )


def _bytes(answer: Answer, body: bytes, *, known: bool) -> Difference:
    what = "the bytes differ" if known else "the page of errors differs"
    kind = "bytes" if known else "error-page"
    return Difference(kind, answer.path, f"{answer.path}: {what}; {first_difference(body, answer.body)}")


def first_difference(made: bytes, served: bytes) -> str:
    """The first line that differs, as it should be and as it is."""
    ours, theirs = made.split(b"\n"), served.split(b"\n")
    number = next((n for n, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    if number is None:
        number = min(len(ours), len(theirs))
    at = _column(ours, theirs, number)

    def shown(lines: list[bytes]) -> str:
        if number >= len(lines):
            return "nothing"
        return f"“{printable(lines[number][at : at + 4 * _SHOWN].decode(errors='replace'), _SHOWN)}”"

    return f"line {number + 1} should be {shown(ours)} and is {shown(theirs)}"


def _column(ours: list[bytes], theirs: list[bytes], number: int) -> int:
    """Where to begin to show: a little before the first byte that differs, for a line may be a whole script."""
    if number >= len(ours) or number >= len(theirs):
        return 0
    pairs = zip(ours[number], theirs[number], strict=False)
    first = next((n for n, (one, other) in enumerate(pairs) if one != other), len(ours[number]))
    return max(0, first - 30)


def _headers(answer: Answer, expected: Expected) -> list[Difference]:
    pages = [value for value in answer.all("content-type") if value.startswith(_HTML)] and not answer.is_redirect
    of_page = expected.page_headers if pages else {}
    wanted = {
        **expected.headers,
        **of_page,
        **(_OF_PATH.get(answer.path, {}) if answer.status == HTTPStatus.OK else {}),
    }
    found = [
        Difference("header", answer.path, f"{answer.path}: {name} is not the listed one")
        for name, value in wanted.items()
        if answer.all(name.lower()) != [value]
    ]
    if answer.all("content-encoding") not in _ENCODINGS:
        found.append(Difference("header", answer.path, f"{answer.path}: it is packed otherwise than with gzip, once"))
    known = {name.lower() for name in wanted} | _OF_HTTP | ({"location"} if answer.is_redirect else set())
    more = sorted({name.lower() for name, _ in answer.headers} - known)
    return found + [
        Difference("header", answer.path, f"{answer.path}: a header {printable(name, 60)}, which nobody listed")
        for name in more
    ]


def _redirect(answer: Answer, where: str) -> list[Difference]:
    if answer.status in {301, 302, 303, 307, 308} and answer.all("location") == [where] and not answer.body:
        return []
    seen = printable(", ".join(answer.all("location")) or str(answer.status), _SHOWN)
    return [Difference("redirect", answer.path, f"{answer.path}: it should lead to {where} and leads to {seen}")]


def _lists(answer: Answer, expected: Expected) -> list[Difference]:
    """What a list that differs says beside: another version, paths that nobody made, and those that it leaves out."""
    path = answer.path
    if path not in {SERVED, FILES}:
        return []
    try:
        release, served = _listed(path, answer.body)
    except (TipboxError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [Difference("list", path, f"{path}: this is no list that can be read")]
    _, made = _listed(path, expected.bodies[path])
    return [
        *_version(path, release, expected),
        *(
            Difference("not-listed", path, f"{path}: it lists {printable(one, 80)}, which nobody made")
            for one in sorted(served - made)
        ),
        *(Difference("list", path, f"{path}: it does not list {one}") for one in sorted(made - served)),
    ]


def _listed(path: str, data: bytes) -> tuple[str, set[str]]:
    """Version and paths of one of the two lists."""
    if path == SERVED:
        served = ServedList.parse(data)
        return served.release, set(served.hashes)
    value: Any = json.loads(data)
    return value["release"], set(value["files"])


def _version(path: str, served: str, expected: Expected) -> list[Difference]:
    try:
        if order(served) < order(expected.release):
            text = f"{path}: the server runs {served}, older than the release {expected.release}"
            return [Difference("older", path, text)]
    except (TipboxError, TypeError):
        return [Difference("list", path, f"{path}: the version is none")]
    return []


def judge_keys(answer: Answer, listed: SiteList, today: date) -> list[Difference]:
    """What is wrong with manifests that are given out: of another identity key, badly signed, or expired."""
    path = answer.path
    if answer.status in BUSY or not (answer.whole or path == NOW):
        return []
    if path == NOW:
        try:
            if answer.status != HTTPStatus.OK or answer.all("content-type") != [_JSON]:
                raise ValueError  # noqa: TRY301 (one sentence for all that makes no sense)
            value: Any = json.loads(answer.body.decode())
            files = [(file.encode(), name == "manifests") for name in ("manifests", "former") for file in value[name]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # A browser may take what was cut off, where it can be read.
            return [Difference("keys", path, f"{path}: this is no answer with keys")] if answer.whole else []
    else:
        files = [(answer.body, True)] if path.startswith(_KEYS) and answer.status == HTTPStatus.OK else []
    found = []
    known = {entry.identity: entry.organisation for entry in listed.entries}
    for file, is_in_force in files:
        try:
            manifest = Manifest.parse(file)
            if known.get(manifest.identity) != manifest.organisation:
                text = f"the manifest of {manifest.organisation} is of another identity key than the site list's"
                found.append(Difference("keys", path, f"{path}: {text}"))
            elif is_in_force:
                manifest.check(today)
        except TipboxError as error:
            found.append(Difference("keys", path, f"{path}: a manifest is not good: {error}"))
    return found


def judge_address(url: str, listed: SiteList) -> list[Difference]:
    """Whether each organisation that signed onion services vouches for this one: else anybody could stand before it."""
    host = ".".join((urlsplit(url).hostname or "").rstrip(".").split(".")[-2:])
    if not host.endswith(".onion"):
        return []  # on this machine
    return [
        Difference("address", host, f"{host}: it is none of the onion services that {entry.organisation} vouches for")
        for entry in listed.entries
        if entry.is_signed and entry.onions and host not in entry.onions
    ]


def given_out(listed: SiteList) -> list[str]:
    """Paths at which there may be JSON that no release makes: manifests in force, and what the operator put there."""
    return [*(f"{_KEYS}{entry.organisation}.json" for entry in listed.entries), *_WEBCAT]
