"""The rules that a site's answers keep, so that their bytes can be verified (docs/protocol.md, section 2.2).

They are WEBCAT's, and some that are stricter: every page, script and style is a listed file or the one error page, by
its hash; every answer carries the listed headers; nothing leads elsewhere.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteList

HASHED: Final = frozenset({"text/html", "text/javascript", "text/css", "text/plain"})
"""What a browser runs or shows, and the lists of words."""
FREE: Final = frozenset({"application/json", "application/octet-stream"})
_SCRIPT_SOURCE: Final = re.compile(r"'self'|'wasm-unsafe-eval'|'sha(256|384|512)-[A-Za-z0-9+/]+={0,2}'")
_FORBIDDEN: Final = ("link", "refresh", "set-cookie", "sourcemap", "x-sourcemap", "service-worker-allowed")


@dataclass(frozen=True)
class Answered:
    """What came back for a path: headers as pairs, for one that comes twice is one too many."""

    path: str
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def kind(self) -> str:
        return next(iter(self.all("content-type")), "").partition(";")[0].strip()

    @property
    def plain(self) -> bytes:
        return gzip.decompress(self.body) if self.all("content-encoding") == ["gzip"] else self.body


def faults(answer: Answered, listed: Mapping[str, Any]) -> list[str]:
    """What is wrong with an answer by the list that a site serves of its files."""
    return [*_of_headers(answer, listed), *_of_policy(answer), *_of_body(answer, listed)]


def _of_headers(answer: Answered, listed: Mapping[str, Any]) -> list[str]:
    expected = {**listed["headers"], **(listed["page_headers"] if answer.kind == "text/html" else {})}
    found = [name for name, value in expected.items() if answer.all(name.lower()) != [value]]
    return [f"{name} is not the listed one" for name in found] + [
        f"there is a header {name}" for name in _FORBIDDEN if answer.all(name)
    ]


def _of_policy(answer: Answered) -> list[str]:
    policies = answer.all("content-security-policy")
    if len(policies) != 1 or "," in policies[0] or answer.all("content-security-policy-report-only"):
        return ["there is not one policy"]
    directives = {words[0]: words[1:] for words in (part.split() for part in policies[0].split(";")) if words}
    scripts = directives.get("script-src", directives.get("default-src", ["*"]))
    workers = directives.get("worker-src", ["*"])
    return [
        *(f"scripts may come from {source}" for source in scripts if not _SCRIPT_SOURCE.fullmatch(source)),
        *(f"workers may come from {source}" for source in workers if source not in {"'self'", "'none'"}),
        *([] if directives.get("default-src") == ["'none'"] else ["what is not named is not forbidden"]),
    ]


def _of_body(answer: Answered, listed: Mapping[str, Any]) -> list[str]:
    locations = answer.all("location")
    if locations or 300 <= answer.status < 400:
        leads_away = [place for place in locations if not re.match(r"\.{0,2}/(?!/)", place)]
        return [
            *(f"it leads to {place}" for place in leads_away),
            *(["a redirect has a body"] if answer.body else []),
            *([] if len(locations) == 1 and 300 <= answer.status < 400 else ["a redirect without one place"]),
        ]
    if answer.kind in FREE:
        return []
    if answer.kind not in HASHED:
        return [f"there is an answer of kind {answer.kind}"]
    path = answer.path.partition("?")[0]
    good = {listed["files"].get(path)} if answer.status < 400 else {listed["error"]}
    return [] if sha256(answer.plain).hexdigest() in good else ["the bytes are not the listed ones"]


def foreign(now: bytes, site: bytes) -> list[str]:
    """Short names of the manifests that a site gives out whose identity keys its list does not have."""
    known = {entry.identity for entry in SiteList.parse(site).entries}
    manifests = [Manifest.parse(file.encode()) for file in json.loads(now)["manifests"]]
    return [manifest.organisation for manifest in manifests if manifest.identity not in known]
