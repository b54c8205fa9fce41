"""Watching: looks whose requests are those of sources, one signed line after each (docs/releases.md, section 5)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from os import SEEK_END
from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused, NetworkFailed
from tipbox.files.durable import fsync_file, fsync_folder
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.site_list import SiteList
from tipbox.release.release_errors import ChainBroken
from tipbox.release.signed_line import MAX_LINE, SignedLine, read_chain
from tipbox.verify.judging import Difference, judge_address
from tipbox.verify.looking import Look, judged, together
from tipbox.verify.rendering import Expected
from tipbox.verify.visiting import Step, Unreached, Visitor

MAX_FOUND: Final = 16
MAX_LINES: Final = 100_000
_PLACES: Final = ("send", "inbox")
_TEXT: Final = 300


def visits(expected: Expected, choose: random.Random) -> list[list[Step]]:
    """What a look of a watcher loads, each visit on a circuit of its own, in random order.

    In each language: the bare address and from there the page by its link, as people come who read that language; and
    the two addresses that old links name.
    """
    made = []
    for language in expected.languages:
        page = f"/{language}/"
        by_link = [] if language == expected.language else [Step(page, "link", f"/{expected.language}/")]
        made.append([Step("/"), *by_link])
        made += [[Step(f"{page}{place}")] for place in _PLACES]
    choose.shuffle(made)
    return made


@dataclass(frozen=True)
class Watch:
    """What a watcher needs for its looks.

    Attributes:
        wait: sleeps for so many seconds.
        choose: when and in which order.
    """

    expected: Expected
    listed: SiteList
    wait: Callable[[float], None] = time.sleep
    choose: random.Random = random.SystemRandom()  # noqa: RUF009 (it keeps nothing)

    def look(self, visitor: Visitor, seconds: float, today: Callable[[], date]) -> Look:
        """One look, its visits at random moments within so many seconds.

        What one visit does not reach is no excuse for what differs in another one.

        Raises:
            NetworkFailed: the server could not be reached, and nothing differs in what came.
        """
        planned = visits(self.expected, self.choose)
        moments = sorted(self.choose.uniform(0, seconds) for _ in planned)
        looks = [Look(judge_address(visitor.spoken, self.listed), {})]
        failed: list[Unreached] = []
        now = 0.0
        for moment, steps in zip(moments, planned, strict=True):
            self.wait(moment - now)
            now = moment
            try:
                answers = visitor.load(steps, self.expected.language)
            except Unreached as error:
                failed.append(error)
                answers = [*error.answers]
            looks.append(judged(answers, self.expected, self.listed, today()))
        self.wait(seconds - now)
        return together(looks, failed)


def line_of(
    url: str, release: str, look: Look | NetworkFailed, previous: SignedLine | None, key: SigningKey
) -> SignedLine:
    """The signed line of a look, or of one that reached nothing."""
    reached = isinstance(look, Look)
    differences: Sequence[Difference] = look.differences if isinstance(look, Look) else ()
    # What one visit did not see would look like another face.
    seen: Mapping[str, str] = look.seen if isinstance(look, Look) and not look.unreached else {}
    said: dict[str, Json] = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H"),
        "found": [one.text[:_TEXT] for one in differences[:MAX_FOUND]],
        "previous": previous.digest if previous else "",
        "release": release,
        "result": "unreached" if not reached else "differs" if differences else "same",
        "seen": dict(seen),
        "url": url,
    }
    return SignedLine.make("watch", said, key)


def append_line(path: Path, line: SignedLine) -> None:
    """Add a line to a watcher's file, durably; the file is made."""
    new = not path.exists()
    with path.open("ab") as file:
        file.write(line.data)
        file.flush()
    fsync_file(path)
    if new:
        fsync_folder(path.absolute().parent)


def take_up(path: Path, key: SigningKey) -> Sequence[SignedLine]:
    """The lines of a watcher's own file, to go on with it; none where there is none yet.

    A line that was cut off while it was written, at the end, is taken away.

    Raises:
        ChainBroken: one was changed, left out or put in.
        InputRefused: they are signed by another key: nobody could follow the chain.
    """
    if not path.exists():
        return []
    with path.open("r+b") as file:
        size = file.seek(0, SEEK_END)
        file.seek(max(0, size - MAX_LINE))
        torn = len(file.read().rpartition(b"\n")[2])
        if torn and torn < MAX_LINE:
            file.truncate(size - torn)
    fsync_file(path)
    lines = read_lines(path)
    if lines and lines[-1].key != key.verify_key.encode():
        raise InputRefused(f"reading {path}: its lines are by another key; name that key, or a new file")
    return lines


def read_lines(path: Path) -> Sequence[SignedLine]:
    """A watcher's lines, each of which follows from the one before it.

    Raises:
        ChainBroken: one was changed, left out or put in.
    """
    with path.open("rb") as file:
        return read_chain(_lines(file.readline))


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    for _ in range(MAX_LINES):
        data = read(MAX_LINE + 1)
        if not data:
            return
        yield data
    raise ChainBroken(f"reading a watcher's lines: there are more than {MAX_LINES:,}")


def looked_at_by_both(one: Sequence[SignedLine], other: Sequence[SignedLine]) -> list[str]:
    """The addresses of which both were told something."""

    def reached(lines: Sequence[SignedLine]) -> set[str]:
        return {str(line.said.get("url")) for line in lines if line.said.get("seen")}

    return sorted(reached(one) & reached(other))


@dataclass
class _Face:
    """All that was seen of one address at once, and when first and last, in hours."""

    seen: Mapping[str, Json]
    first: str
    last: str

    def at_once(self, other: _Face) -> bool:
        """Whether both were there in more than the hour of an upgrade."""
        if self.first < other.first and other.last < self.last:
            return True
        if other.first < self.first and self.last < other.last:
            return True
        return max(self.first, other.first) < min(self.last, other.last)


def compare(one: Sequence[SignedLine], other: Sequence[SignedLine]) -> tuple[list[str], list[str]]:
    """Where two watchers were told different things at the same time, one sentence each (docs/releases.md, section 5).

    Also where one of them was told different things by turns. And where one thing followed another: an upgrade, or
    clocks that disagree.
    """
    found, followed = [], []
    faces: dict[str, list[_Face]] = {}
    for line in sorted([*one, *other], key=lambda line: str(line.said.get("at"))):
        seen, url, at = line.said.get("seen"), str(line.said.get("url")), str(line.said.get("at"))
        if line.said.get("result") == "unreached" or not isinstance(seen, dict) or not seen:
            continue
        known = faces.setdefault(url, [])
        face = next((face for face in known if face.seen == seen), None)
        if face is None:
            known.append(_Face(seen, at, at))
        else:
            face.last = at
    for url, known in faces.items():
        for number, face in enumerate(known):
            for later in known[number + 1 :]:
                if face.at_once(later):
                    between = f"two faces between {max(face.first, later.first)} and {min(face.last, later.last)}"
                    found.append(f"{url}: {between}; different: {_different(face, later)}")
                elif later is known[number + 1]:
                    followed.append(f"{url}: another face since {later.first}; different: {_different(face, later)}")
    return found, followed


def _different(face: _Face, later: _Face) -> str:
    paths = sorted(path for path in {*face.seen, *later.seen} if face.seen.get(path) != later.seen.get(path))
    return f"{', '.join(paths[:5])}{' …' if len(paths) > len(paths[:5]) else ''}"
