"""The offline page opens no connection, by what the kernel is asked for: strace on the whole browser."""

from __future__ import annotations

import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from browser import drivers
from browser.drivers import EVERY_JOURNEY, Browser, Level, running
from browser.offline.offline_source import MB, OfflineSource
from browser.offline.test_offline_page import make_page
from browser.test_requests import MAKERS
from support.sealed import keys_folder, three

LEVELS: Final = [Level.CHROMIUM, Level.SAFER] if EVERY_JOURNEY else [Level.CHROMIUM]
BROWSERS: Final = pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
"""Firefox at Safer with ``make journeys``."""
PIECES: Final = 3 if EVERY_JOURNEY else 1
_CALL: Final = re.compile(r"\b(socket|connect|sendto)\((.*)")
_INTERNET: Final = re.compile(r"AF_INET6?\b")
_PORT: Final = re.compile(r"port=htons\((\d+)\)")
_ADDRESS: Final = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')


class Calls:
    """What a browser and all that it starts ask the kernel for, as strace writes it down while they run."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def internet(self) -> set[str]:
        """Where it connected and sent to; and kinds of sockets that need no connection."""
        found = set()
        for line in self._log.read_text(errors="replace").splitlines():
            call = _CALL.search(line)
            if call is None or not _INTERNET.search(call[2]):
                continue
            if call[1] == "socket":
                kind = call[2].split(", ")[1].partition("|")[0]
                found |= {f"socket {kind}"} - {"socket SOCK_STREAM"}
            else:
                found.add(" ".join((call[1], *_ADDRESS.findall(call[2]), *_PORT.findall(call[2]))))
        return found


@contextmanager
def traced(beside: Browser, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Browser, Calls]]:
    """Another browser of the same level, which runs under strace from its first process on."""
    level = beside.level
    name = "CHROMIUM_BINARY" if level is Level.CHROMIUM else "FIREFOX_BINARY"
    binary = Path(getattr(drivers, name))
    log = folder / "calls"
    wrapper = folder / "bin" / binary.name
    wrapper.parent.mkdir()
    for settings in binary.parent.glob("*.ini"):  # what Marionette reads of a Firefox before it starts it
        shutil.copy(settings, wrapper.parent)
    # -D: the browser stays the process that was started, and ends as ever.
    strace = "strace -D -f -qq --seccomp-bpf -e trace=socket,connect,sendto -e signal=none"
    wrapper.write_text(f'#!/bin/sh\nexec {strace} -o "{log}" "{binary}" "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    monkeypatch.setattr(drivers, name, str(wrapper))
    with running(level, beside) as traced:
        yield traced, Calls(log)


@BROWSERS
def test_no_socket_leads_anywhere(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it opens, seals, saves and asks for answers: no more than the same browser does over an empty page."""
    keys = keys_folder(tmp_path / "keys", three())
    page = make_page(tmp_path / "page", keys)
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>-</title>", encoding="utf-8")
    file = tmp_path / "photo.bin"
    file.write_bytes(secrets.token_bytes(2 * MB))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener, traced(browser, tmp_path, monkeypatch) as (watched, calls):
        watched.open(empty.as_uri())
        watched.run("await new Promise((resolve) => setTimeout(resolve, 1000));")
        before, outside = calls.internet(), len(watched.sink.hosts)

        offline = OfflineSource(watched, page)
        offline.go()
        offline.write("Мы видели", *([file] if EVERY_JOURNEY else []), size=MB)
        offline.seal(PIECES)
        digits = offline.digits()
        offline.go()
        offline.type_code(digits)
        watched.save_all("#app [data-part=request]", 1)
        sink = f"connect 127.0.0.1 {watched.sink.port}"
        assert calls.internet() - before <= {sink}
        assert [host for host in watched.sink.hosts[outside:] if not MAKERS.search(host)] == []

        # What does lead somewhere is seen: another page, at an address of this machine.
        watched.open(empty.as_uri())
        watched.run(f"new Image().src = '{watched.url(port)}';")
        watched.until(lambda: any(to == f"connect 127.0.0.1 {port}" for to in calls.internet()), "the connection")
