"""Signing a notice for the pages: by the desk key of the manifest in force, which every page that takes it knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from tipbox.desk.custody.chain import note
from tipbox.desk.keys.ceremony import find_stick, organisation_of
from tipbox.desk.keys.out_file import check_notice
from tipbox.desk.outbox import due_manifest
from tipbox.desk.vault.vault import Vault
from tipbox.errors import InputRefused
from tipbox.files.durable import write_file
from tipbox.formats.base.limits import MAX_NOTICE_TEXT
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.notice import Notice

_MOST = 2 * MAX_NOTICE_TEXT
"""Bytes that are read: more than it may have is refused when it is signed."""


def read_words(path: Path) -> str:
    """The words of a notice in one language, out of a file of text.

    Raises:
        InputRefused: it is larger than one may be, or no text.
    """
    with path.open("rb") as file:
        data = file.read(_MOST)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").strip()
    except UnicodeDecodeError as error:
        raise InputRefused(f"reading {path}: this is no text in UTF-8, or longer than a notice can be") from error


def sign_notice(vault: Vault, text: Mapping[str, str], last: date, out: Path, *, today: date) -> Notice:
    """Sign the words of ``text`` (by language), shown from ``today`` to the day ``last``, and write them to ``out``.

    Raises:
        Usage: ``out`` lies in the vault or on the key stick, or is something else than a notice.
        Malformed: the words are too long, or the days too many.
        NoCurrentKey, Expired: no manifest is in force.
    """
    organisation = organisation_of(vault)
    check_notice(out, vault.path, find_stick(vault, organisation))
    desk_key = SigningKey(due_manifest(vault, today).desk_seed)
    notice = Notice(organisation.id, today, last + timedelta(days=1), dict(text)).signed_by(desk_key)
    with vault.transaction():
        note(vault, "publish", after="notice")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, notice.encode(), mode=0o644)
    return notice
