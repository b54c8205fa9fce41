"""A watcher's visits, one for each line of standard input: ``visits.py ORIGIN SPOKEN``.

It asks at ORIGIN for what it names as SPOKEN. A line is JSON: a path, and loads to go by, or null for the program's.
A path that is not ``/`` is asked for as by a link from the page in English.
"""

from __future__ import annotations

import json
import sys
from functools import partial

from tipbox.verify import recorded_loads
from tipbox.verify.visiting import Step, Visitor


def main() -> None:
    """Visit."""
    origin, spoken = sys.argv[1:]
    recorded = recorded_loads._recorded()
    visitor = Visitor(origin, None)
    visitor.spoken = spoken
    for line in sys.stdin:
        path, loads = json.loads(line)
        recorded_loads.loads.cache_clear()
        made = recorded if loads is None else {**recorded, "loads": loads}
        recorded_loads._recorded = partial(dict, made)  # type: ignore[assignment]
        visitor.load([Step(path) if path == "/" else Step(path, "link", "/en/")], "en")
        sys.stdout.write("loaded\n")
        sys.stdout.flush()
    visitor.close()


if __name__ == "__main__":
    main()
