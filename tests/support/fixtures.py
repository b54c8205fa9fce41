"""Fixtures of more than one folder: here each of them is one, and session means session.

A fixture that a module imports is another fixture in each module, and is made again there.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nacl import pwhash

from support.desk import Desks
from support.once import once
from support.world import Ring, World, running_world
from tipbox.formats import access_code
from tipbox.formats.base import days, primitives

if TYPE_CHECKING:
    from support.sealed import Organisation
    from support.server import Here

KEYS_KEPT = 4096


@pytest.fixture(scope="session", autouse=True)
def _each_key_stretched_once() -> Iterator[None]:
    """Argon2id and PBKDF2 give the same bytes for the same passphrase and salt, and take long on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwhash.argon2id, "kdf", lru_cache(KEYS_KEPT)(pwhash.argon2id.kdf))
        patch.setattr(access_code, "pbkdf2", lru_cache(KEYS_KEPT)(primitives.pbkdf2))
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Started in the background of a shell, this process ignores SIGINT, and its children would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    """Three organisations with published keys, made by the commands; tests copy them."""
    return Ring(once(tmp_path_factory, "ring", lambda folder: Ring(folder).make()))


@pytest.fixture
def world(ring: Ring) -> Iterator[World]:
    """A server of one test's own, with untouched desks."""
    with running_world(ring) as made:
        yield made


@pytest.fixture(scope="module")
def organisations() -> list[Organisation]:
    """Three of them, for the tests of a file."""
    from support.sealed import three

    return three()


@pytest.fixture
def keys(organisations: list[Organisation], tmp_path: Path) -> Path:
    """A folder of the manifests of the ``organisations``."""
    from support.sealed import keys_folder

    return keys_folder(tmp_path / "keys", organisations)


@pytest.fixture
def server(organisations: list[Organisation], tmp_path: Path) -> Iterator[Here]:
    """A server of one test's own, without a process, for the ``organisations`` of its file."""
    from support.sealed import keys_folder
    from support.server import Here  # only where one is wanted: it brings Flask

    here = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    yield here
    here.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desks:
    """Three organisations of TODAY, made by the ceremony in this process; tests copy them."""
    return Desks.load(once(tmp_path_factory, "desks", Desks.make))


@pytest.fixture(scope="session")
def made_today(tmp_path_factory: pytest.TempPathFactory) -> Desks:
    """Two organisations of the very day, for tests of commands; tests copy them."""
    make = partial(Desks.make, today=days.today(), names=("fidh", "kibhr"))
    return Desks.load(once(tmp_path_factory, "desks-today", make))


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    """A copy of one test's own."""
    return made.copy(tmp_path / "desks")
