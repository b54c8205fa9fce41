"""Each browser is at the level that it stands for; without this the other tests would show nothing."""

from __future__ import annotations

import pytest

from browser.drivers import ONION, Firefox, Level
from browser.pages import Source

ALL = pytest.mark.parametrize("level", list(Level), ids=lambda level: level.value)


@ALL
def test_host_scripts_and_webassembly_are_those_of_the_level(source: Source) -> None:
    source.check_level()


@pytest.mark.parametrize("level", [Level.SAFER, Level.SAFEST], ids=lambda level: level.value)
def test_safer_has_no_jit(source: Source) -> None:
    assert isinstance(source.browser, Firefox)
    for name in ("ion", "baselinejit", "native_regexp", "asmjs", "wasm"):
        assert source.browser.preference(f"javascript.options.{name}") is False


@pytest.mark.parametrize("level", [Level.STANDARD, Level.SAFER, Level.SAFEST], ids=lambda level: level.value)
def test_windows_are_private(source: Source) -> None:
    assert isinstance(source.browser, Firefox)
    assert source.browser.chrome("return PrivateBrowsingUtils.isWindowPrivate(window);") is True


@ALL
def test_nothing_outside_can_be_reached(source: Source) -> None:
    """What is not the test's host ends in the sink."""
    assert len(ONION) == 62
    with pytest.raises(Exception, match=r"(?i)proxy|err_socks|neterror"):
        source.browser.open("https://outside.example/")
    assert "outside.example" in source.browser.sink.hosts
