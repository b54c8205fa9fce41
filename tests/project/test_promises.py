"""The ledger of promises: what turns a run red. Each case is a small pytest session of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import promises

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

KEPT = "def test_a(record_size):\n    record_size('bundle', 1_234_567)\n"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest with the plugin in a folder with one promise, kept by `tests`, and one file of tests."""

    def run(body: str, *args: str, tests: str = '["test_it.py::test_a"]') -> pytest.RunResult:
        monkeypatch.setenv("PYTHONPATH", str(pytester.path))
        plugin = Path(promises.__file__).read_text(encoding="utf-8")
        (pytester.path / "support").mkdir()
        (pytester.path / "support" / "promises.py").write_text(plugin, encoding="utf-8")
        (pytester.path / "promises").mkdir()
        (pytester.path / "promises" / "area.toml").write_text(
            f'[[promise]]\nid = "it-works"\ntext = "it works"\ntests = {tests}\n',
            encoding="utf-8",
        )
        (pytester.path / "test_it.py").write_text(body, encoding="utf-8")
        return pytester.runpytest_subprocess("-p", "support.promises", "-p", "no:cacheprovider", *args)

    return run


@pytest.mark.parametrize("args", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "several"])
def test_kept(run: Callable[..., pytest.RunResult], args: tuple[str, ...]) -> None:
    result = run(KEPT, "--promises", *args)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["it-works *kept *1 *it works", "*bundle 1.2 MB", "1 of 1 promises kept*"])
    assert "1 passed" in result.outlines[-1]


@pytest.mark.parametrize(
    ("body", "args", "tests", "state"),
    [
        pytest.param(KEPT, (), "[]", "missing", id="no-tests"),
        pytest.param(KEPT, (), '["test_it.py::test_a", "test_it.py::test_gone"]', "missing", id="test-gone"),
        pytest.param(KEPT + "def test_b(): pass\n", ("-k", "test_b"), '["test_it.py"]', "deselected", id="deselected"),
        pytest.param(
            "import pytest\ndef test_a(): pytest.skip('no browser')\n", (), '["test_it.py"]', "skipped", id="skipped"
        ),
        pytest.param(
            "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", (), '["test_it.py"]', "skipped", id="skip-mark"
        ),
        pytest.param(
            "import pytest\n@pytest.mark.xfail\ndef test_a(): assert False\n",
            (),
            '["test_it.py"]',
            "failed",
            id="xfail",
        ),
        pytest.param("def test_a(): assert False\n", (), '["test_it.py"]', "failed", id="failed"),
        pytest.param("def test_a(): assert False\n", ("-n", "2"), '["test_it.py"]', "failed", id="failed elsewhere"),
        pytest.param(
            KEPT + "def test_b(): pass\n",
            ("-n", "2", "-k", "test_b"),
            '["test_it.py::test_a"]',
            "missing",
            id="deselected elsewhere",
        ),
        pytest.param(
            "import os\ndef test_a(): os._exit(1)\n",
            ("-n", "2", "--max-worker-restart", "0"),
            '["test_it.py"]',
            "failed",
            id="process died",
        ),
        pytest.param(
            "import pytest\n@pytest.fixture\ndef f():\n    yield\n    assert False\ndef test_a(f): pass\n",
            (),
            '["test_*::test_a"]',
            "failed",
            id="teardown",
        ),
        pytest.param(
            "def test_0(): assert False\ndef test_a(): pass\n", ("-x",), '["test_it.py::test_a"]', "not run", id="stop"
        ),
    ],
)
def test_broken(run: Callable[..., pytest.RunResult], body: str, args: tuple[str, ...], tests: str, state: str) -> None:
    result = run(body, "--promises", *args, tests=tests)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"it-works *{state} *it works", "0 of 1 promises kept*"])
    assert "1 promises broken" in result.outlines[-1] or "1 failed" in result.outlines[-1]


def test_only_on_request(run: Callable[..., pytest.RunResult]) -> None:
    result = run(KEPT, tests="[]")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*promise*")


PROMISED = {
    "access-code-never-reaches-server", "backup-restores-everything", "bare-debian-runs-the-demo",
    "builds-are-reproducible", "circuits-have-separate-budgets", "long-silence-is-no-obstacle", "pages-are-checked",
    "readme-commands-run", "spellings-stay",
    "conversation-goes-both-ways", "desk-opens-no-socket", "each-organisation-opens-its-own", "folders-stay-small",
    "fresh-clone-runs", "fsync-before-answer", "imports-keep-borders", "install-is-repeatable",
    "mailbox-work-is-constant", "mailboxes-look-alike", "no-plaintext-on-server", "nothing-acknowledged-is-lost",
    "nothing-leaves-unsealed", "only-an-organisation-speaks-for-itself", "replies-survive-kills",
    "seized-disk-tells-little", "tip-arrives-bit-exact", "upgrade-keeps-or-rolls-back", "whole-way-through-tor",
}  # fmt: skip
"""A promise once made is not dropped in passing."""


def test_the_list_of_this_project_is_sound() -> None:
    assert {promise.id for promise in promises.load()} >= PROMISED


@pytest.mark.parametrize(
    "areas",
    [
        pytest.param({}, id="none"),
        pytest.param({"a": ("it-works", "yes"), "b": ("it-works", "yes")}, id="twice"),
        pytest.param({"a": ("2.1", "yes")}, id="a number"),
        pytest.param({"a": ("it-works", "")}, id="no text"),
    ],
)
def test_a_list_that_is_not_sound(areas: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    for area, (name, text) in areas.items():
        (tmp_path / f"{area}.toml").write_text(f'[[promise]]\nid = "{name}"\ntext = "{text}"\ntests = []\n')

    with pytest.raises(ValueError, match=r"^reading "):
        promises.load(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "node", "expected"),
    [
        ("tests/a.py::test_x", "tests/a.py::test_x", True),
        ("tests/a.py::test_x", "tests/a.py::test_x[1-b]", True),
        ("tests/a.py::test_x", "tests/a.py::test_xy", False),
        ("tests/a.py", "tests/a.py::test_x", True),
        ("tests/a.py", "tests/a.pyx::test_x", False),
        ("tests/browser/test_*", "tests/browser/test_send.py::test_x[firefox]", True),
        ("*::test_x[firefox]", "tests/a.py::test_x[firefox]", True),
        ("*::test_x[firefox]", "tests/a.py::test_xf", False),
    ],
)
def test_matches(pattern: str, node: str, expected: bool) -> None:  # noqa: FBT001
    assert promises.matches(pattern, node) is expected
