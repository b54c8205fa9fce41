"""What the fuzz targets share. A finding is every exception that is not a TipboxError, and every second spelling.

A target is a function of bytes. Its seeds come from the test vectors, beside what earlier runs kept in the corpus.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests" / "vectors"
sys.path.append(str(ROOT / "tests"))

from support.pieces import envelope_bytes  # noqa: E402
from tipbox.errors import TipboxError  # noqa: E402


def vectors(kind: str, member: str) -> Iterator[bytes]:
    """The bytes of one member of ``input`` of all cases of a kind."""
    for path in sorted(VECTORS.glob(f"{kind}/*.json")):
        given = json.loads(path.read_bytes())["input"]
        yield given[member].encode() if member == "text" else base64.b64decode(given[member])


def envelopes(kind: str) -> Iterator[bytes]:
    """The Envelopes of all cases of a kind, ``envelope`` or ``reply``."""
    for path in sorted(VECTORS.glob(f"{kind}/*.json")):
        yield envelope_bytes(json.loads(path.read_bytes())["input"])


def run(target: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz ``target`` with libFuzzer's arguments of the command line. Does not return."""

    def one(data: bytes) -> None:
        try:
            target(data)
        except TipboxError:
            return

    corpora = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    corpus = Path(corpora[0]) if corpora else ROOT / "build" / "fuzz" / Path(sys.argv[0]).stem / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    # Beside the corpus, because libFuzzer leaves without cleaning up, and writes what it finds into its first folder.
    folder = corpus.with_name("seeds")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(seed)
    atheris.Setup([*sys.argv, *([] if corpora else [str(corpus)]), str(folder)], one)
    atheris.Fuzz()
