"""Judges a program by what it finds on a server, and by what the earlier program found there.

    tipbox server check --json | findings.py [BEFORE]

BEFORE is a file with what the earlier program's check printed. An empty one, or one that cannot be read, says that it
did not answer; then everything counts as new. Ends with 0 when nothing speaks against the program, otherwise with 1.
Run by Debian's Python: neither program may be what it takes to judge them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Finding = Mapping[str, Any]
"""As ``tipbox server check --json`` prints it."""

OF_TIME = frozenset({"clock", "settled", "manifests", "notices", "hosts", "rates", "twice", "room", "tor", "couriers"})
"""What days, couriers and the machine bring, and no program: going back would remedy none of it. A server that stood
still has the first three, and the new program is often the first to see them."""


def read(text: str) -> list[Finding] | None:
    """What a check printed; None when that is not what a check prints."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    is_complete = isinstance(found, list) and all(
        isinstance(one, dict) and isinstance(one.get("check"), str) and isinstance(one.get("ok"), bool) for one in found
    )
    return found if is_complete and found else None


def is_against(finding: Finding, before: Finding | None) -> bool:
    """Whether a finding speaks against the program.

    Args:
        finding: what is not well now.
        before: what the program before it found by the same check, if that was not well either.
    """
    name, now = finding["check"], finding.get("wrong")
    if name in OF_TIME:
        return False
    if before is None or name == "server":  # then no other check of the server could be made
        return True
    if "wrong" not in before:  # an older program, which did not count
        return "wrong" in finding and now is None
    if now is None or before["wrong"] is None:
        return before["wrong"] is not None
    return bool(now > before["wrong"])


def said(finding: Finding) -> str:
    """A finding in one line that moves no cursor."""
    message = "".join(sign if sign.isprintable() else "?" for sign in str(finding.get("message", "")))
    return f"{finding['check']}: {message}"


def judge(before: Sequence[Finding] | None, after: Sequence[Finding]) -> Iterator[tuple[bool, str]]:
    """Each finding that is not well, or was not: whether it speaks against the program, and the line about it.

    Args:
        before: the earlier program's findings; None when it did not answer.
        after: those of the program that is judged.
    """
    earlier = {one["check"]: one for one in before or () if not one["ok"]}
    for one in after:
        was = earlier.pop(one["check"], None)
        if one["ok"]:
            if was is not None:
                yield False, f"was there before, and is no more: {said(was)}"
            continue
        against = is_against(one, was)
        if was is None:
            yield against, f"{'NEW' if against else 'came with time, not with this version'}: {said(one)}"
        elif against:
            yield True, f"WORSE: {said(one)} (before: {said(was)})"
        else:
            changed = "" if said(one) == said(was) else f" (before: {said(was)})"
            yield False, f"was there before, and still is: {said(one)}{changed}"
    for was in earlier.values():
        yield False, f"was there before, and is not asked any more: {said(was)}"


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    before = None
    if arguments:
        path = Path(arguments[0])
        before = read(path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "")
        if before is None:
            print("what was there before is not known: the earlier version did not say")
    after = read(sys.stdin.read())
    if after is None:
        print("NEW: the check does not answer")
        return 1
    lines = list(judge(before, after))
    for _, line in lines:
        print(line)
    return int(any(against for against, _ in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
