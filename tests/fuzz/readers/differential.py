"""Differential run: differential.py [COUNT [SEED]] reads so many inputs (10,000) in three readers that must agree.

What they differ in is kept in build/fuzz/differential/, a case a file.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests"))

from support import differential  # noqa: E402
from support.node import Node  # noqa: E402
from support.organisations import Case  # noqa: E402


def tell(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(count: int, seed: int) -> int:
    """How many inputs the readers differ in."""
    kept = ROOT / "build" / "fuzz" / "differential"
    codes: Counter[str] = Counter()
    different = 0
    start = time.monotonic()

    def counted() -> Iterator[Case]:
        for number, case in enumerate(differential.inputs(count, seed), 1):
            yield case
            if number % 1000 == 0:
                tell(f"{number:,} inputs in {time.monotonic() - start:.0f} s")

    with tempfile.TemporaryDirectory() as folder:
        reference, node = differential.Reference(), Node.build(Path(folder))
        readers = differential.all_readers(reference, node)
        python = readers["Python"]

        def told(case: Case) -> tuple[str, Case | None]:
            said = python(case)
            codes[said[0]] += 1
            return said

        for case, said in differential.differences(counted(), {**readers, "Python": told}):
            different += 1
            kept.mkdir(parents=True, exist_ok=True)
            path = kept / f"{seed}-{different}.json"
            path.write_text(json.dumps({**case, "said": said}, indent=1), encoding="utf-8")
            codes_of = {name: code for name, (code, _) in said.items()}
            tell(f"{case['kind']} {case['name']}: {codes_of}, kept in {path.relative_to(ROOT)}")
        reference.close()
        node.close()
    tell(f"{count:,} inputs, seed {seed}: {different} differ; {dict(codes.most_common())}")
    return different


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    how_many = arguments[0] if arguments else 10_000
    sys.exit(1 if main(how_many, arguments[1] if len(arguments) > 1 else random.randrange(10**6)) else 0)
