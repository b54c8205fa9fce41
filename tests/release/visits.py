"""A watcher's visits, one for each line of standard input: ``visits.py ORIGIN SPOKEN LOADS``.

It asks at ORIGIN for what it names as SPOKEN, by loads that are given as JSON, or by those of the program for ``null``.
A path that is not ``/`` is asked for as by a link from the page in English.
"""

from __future__ import annotations

import json
import sys

from tipbox.verify import recorded_loads
from tipbox.verify.visiting import Step, Visitor


def main() -> None:
    """Visit."""
    origin, spoken, loads = sys.argv[1:]
    if (given := json.loads(loads)) is not None:
        recorded_loads._recorded = lambda: {**RECORDED, "loads": given}  # type: ignore[assignment]
    visitor = Visitor(origin, None)
    visitor.spoken = spoken
    for line in sys.stdin:
        path = line.strip()
        visitor.load([Step(path) if path == "/" else Step(path, "link", "/en/")], "en")
        sys.stdout.write("loaded\n")
        sys.stdout.flush()
    visitor.close()


RECORDED = recorded_loads._recorded()

if __name__ == "__main__":
    main()
