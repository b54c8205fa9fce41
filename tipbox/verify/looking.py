"""One look: asks for all that a deployment should answer, and says what differs (docs/releases.md, section 4)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import Final

from tipbox.errors import NotFound
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.site_list import SiteList
from tipbox.release.served_list import FALLBACK
from tipbox.verify.judging import NOW, Answer, Difference, given_out, judge, judge_address, judge_keys
from tipbox.verify.neighbours import neighbours
from tipbox.verify.rendering import SITE, Expected
from tipbox.verify.visiting import Step, Unreached, Visitor

_PLACES: Final = ("", "send", "inbox")
_AT_ONCE: Final = 4
_HOPELESS: Final = 8
"""After so many paths of which no answer came, nothing more is asked."""


@dataclass(frozen=True)
class Look:
    """What one look saw.

    Attributes:
        differences: in the order of their paths; none: everything is as it should be.
        seen: SHA-256, hex, of each answer by path.
        unreached: one sentence for each path, or visit, of which there was no whole answer.
    """

    differences: Sequence[Difference]
    seen: Mapping[str, str] = field(repr=False)
    unreached: Sequence[str] = ()


def redirects(expected: Expected) -> dict[str, str]:
    """Where paths without a language, or without its slash, lead to."""
    lead = {f"/{place}": f"/{expected.language}/{place}" for place in _PLACES}
    return lead | {f"/{language}": f"/{language}/" for language in expected.languages}


def fetch_site(visitor: Visitor) -> bytes:
    """The site list that the server gives out.

    Raises:
        NotFound: it gives out none.
        NetworkFailed: it could not be reached.
    """
    answer = visitor.ask(Step(SITE))[-1]
    if answer.status != HTTPStatus.OK:
        raise NotFound("asking the server for its site list: it has none; is this the address of a tipbox?")
    return answer.body


def look(visitor: Visitor, expected: Expected, listed: SiteList, today: date) -> Look:
    """Everything, in random order, each path on a circuit of its own.

    What is not reached is no excuse for what differs: it is told beside.

    Raises:
        NetworkFailed: the server could not be reached, and nothing differs in what came.
    """
    paths = [*expected.paths, *redirects(expected), FALLBACK, NOW, *given_out(listed)]
    paths += [*neighbours(expected), *_nobody_made()]
    random.SystemRandom().shuffle(paths)
    steps = [Step(path, *_asked_by(path, expected)) for path in paths]
    failed: list[Unreached] = []

    def ask(step: Step) -> Look:
        if len(failed) >= _HOPELESS:
            return Look([], {})
        try:
            answers = visitor.ask(step)
        except Unreached as error:
            failed.append(error)
            answers = [*error.answers]
        return judged(answers, expected, listed, today)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        address = Look(judge_address(visitor.spoken, listed), {})
        return together([address, *pool.map(ask, steps)], failed)


def together(looks: Iterable[Look], failed: Sequence[Unreached]) -> Look:
    """One look of its parts.

    Raises:
        Unreached: the first of ``failed``, where nothing differs.
    """
    found: list[Difference] = []
    seen: dict[str, str] = {}
    for one in looks:
        found += one.differences
        seen |= one.seen
    found = sorted(dict.fromkeys(found), key=lambda one: one.path)
    if failed and not found:
        raise failed[0]
    return Look(found, seen, [str(error) for error in failed])


def judged(answers: Iterable[Answer], expected: Expected, listed: SiteList, today: date) -> Look:
    """What is wrong with some answers."""
    leads = redirects(expected)
    answers = sorted(answers, key=lambda answer: answer.path)
    found = [difference for answer in answers for difference in judge(answer, expected, leads)]
    found += [difference for answer in answers for difference in judge_keys(answer, listed, today)]
    known = expected.bodies.keys() | leads.keys()
    seen = {answer.path: answer.digest for answer in answers if answer.counts and answer.path in known}
    return Look(list(dict.fromkeys(found)), seen)


def _asked_by(path: str, expected: Expected) -> tuple[str, str]:
    """What asks for a path in a browser, and from which page."""
    page = f"/{expected.language}/"
    if path == NOW or (path.startswith("/static/") and path.endswith(".txt")):
        return "fetch", page
    name = path.removeprefix("/static/")
    if name == path:
        return "typed", ""
    if name.endswith(".css"):
        return "style", page
    return ("worker" if name not in {"start.js", "page.js"} else "script"), page


def _nobody_made() -> list[str]:
    """Paths that do not exist: of a page, of a script, and of one word."""
    words = [random_bytes(5).hex() for _ in range(3)]
    return [f"/{words[0]}", f"/static/{words[1]}.js", f"/en/{words[2]}"]
