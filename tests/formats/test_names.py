"""A file name from a source never becomes a path, an option, a terminal escape or another name."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tipbox.files.names import MAX_SAFE_NAME, safe_name
from tipbox.files.printable import ascii_json, is_printable, printable


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "001-photo.jpg"),
        ("../../etc/passwd", "001-_.._etc_passwd"),
        ("..\\..\\boot.ini", "001-_.._boot.ini"),
        ("-rf", "001-rf"),
        (".bashrc", "001-bashrc"),
        ("..", "001-file"),
        ("", "001-file"),
        ("\u202efdp.exe", "001-fdp.exe"),
        ("a\u2066b\u200d\u200ec.txt", "001-abc.txt"),
        ("\x1b[2J\x1b]0;owned\x07.txt", "001-_2J_0_owned.txt"),
        ("new\nline\ttab.txt", "001-new line tab.txt"),
        ("и\u0306й.txt", "001-йй.txt"),
        ("Қазақстан.mp4", "001-Қазақстан.mp4"),
        ("con.txt", "001-_con.txt"),
        ("LPT1", "001-_LPT1"),
        ("$(reboot).jpg", "001-_(reboot).jpg"),
        ("a" * 255, "001-" + "a" * MAX_SAFE_NAME),
        ("я" * 120 + ".tar", "001-" + "я" * 48 + ".tar"),
        ("trailing. . .", "001-trailing"),
        ("\ud800.txt", "001-txt"),
    ],
)
def test_a_name_becomes_safe(name: str, safe: str) -> None:
    assert safe_name(1, name) == safe


@given(st.text(max_size=255), st.integers(1, 1000))
def test_any_name_becomes_one_visible_component(name: str, number: int) -> None:
    safe = safe_name(number, name)
    assert PurePosixPath(safe).parts == (safe,)
    assert PureWindowsPath(safe).parts == (safe,)
    assert safe.startswith(f"{number:03d}-")
    assert len(safe) > len(f"{number:03d}-")
    assert len(safe.encode()) <= MAX_SAFE_NAME + 5
    assert all(is_printable(letter) for letter in safe)
    assert unicodedata.is_normalized("NFC", safe)


@given(st.text())
def test_nothing_printable_moves_a_terminal(text: str) -> None:
    for shown in (printable(text), ascii_json([text])):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert ascii_json([text]).replace("\n", "").isprintable()
    # Blanks that do not break are blanks to a terminal, and not to Python.
    assert "".join(" " if unicodedata.category(one) == "Zs" else one for one in printable(text)).isprintable()
