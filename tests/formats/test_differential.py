"""A short differential run: what Python reads, TypeScript and the reference opener read alike (more: `make fuzz`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.differential import Read, Reference, all_readers, differences, inputs
from support.node import Node
from support.organisations import Case, outcome

COUNT = 300


@pytest.fixture(scope="module", name="readers")
def _readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Read]]:
    with ExitStack() as stack:
        reference, node = Reference(), Node.build(tmp_path_factory.mktemp("differential"))
        stack.callback(reference.close)
        stack.callback(node.close)
        yield all_readers(reference, node)


def test_readers_agree(readers: dict[str, Read]) -> None:
    found = {case["name"]: said for case, said in differences(inputs(COUNT, 20261128), readers)}

    assert found == {}


def test_inputs_are_of_all_kinds() -> None:
    """Both kinds, what opens, and most of what can be wrong with an Envelope."""
    cases = list(inputs(COUNT, 1))
    codes = {outcome(case)[0] for case in cases}

    assert {case["kind"] for case in cases} == {"envelope", "reply"}
    assert codes >= {"ok", "malformed", "limit", "tampered", "truncated", "incomplete", "trailing", "forged"}
    assert codes >= {"not-for-you", "not-addressed", "unknown-key", "too-late", "commitment", "version", "not-tipbox"}


@pytest.mark.parametrize("in_output", [True, False])
def test_a_difference_is_told(in_output: bool) -> None:  # noqa: FBT001
    """In the code, or in what came out."""

    def other(case: Case) -> tuple[str, Case | None]:
        code, output = outcome(case)
        if in_output:
            return code, output and {**output, "message_sha256": ""}
        return "tampered" if code == "limit" else code, output

    cases = list(inputs(100, 2))
    told = list(differences(cases, {"Python": outcome, "other": other}))
    expected = "ok" if in_output else "limit"
    assert [case for case, _ in told] == [case for case in cases if outcome(case)[0] == expected] != []
