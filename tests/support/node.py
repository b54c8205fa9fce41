"""The client under Node: `tests/formats/interop.ts`, built and asked one question a line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from support.tree import ROOT


class Node:
    """The client, built for Node and running."""

    def __init__(self, script: Path) -> None:
        self._process = subprocess.Popen(("node", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @classmethod
    def build(cls, folder: Path) -> Node:
        """Build the client into ``folder`` and start it."""
        script = folder / "interop.mjs"
        esbuild = ROOT / "client" / "node_modules" / ".bin" / "esbuild"
        options = ("--bundle", "--platform=node", "--format=esm", "--log-level=error", f"--outfile={script}")
        subprocess.run((esbuild, ROOT / "tests" / "formats" / "interop.ts", *options), check=True)
        return cls(script)

    def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """One operation of interop.ts; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"operation": operation, **request}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()
