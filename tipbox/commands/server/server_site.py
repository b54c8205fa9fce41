"""``tipbox server site``: the pages as files, and the list of organisations that they are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import IdentityChanged, Malformed, TipboxError, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tipbox.formats.site_face import SiteFace
    from tipbox.formats.site_list import SiteList

_PATH = click.Path(path_type=Path)
_T = TypeVar("_T")


@click.command()
@click.option("--keys", type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--site", "listed", type=_PATH, metavar="site.json", help="The site list.")
@click.option(
    "--entry", "entries", multiple=True, type=_PATH, metavar="ENTRY.json", help="A signed entry; repeat it for each."
)
@click.option("--face", type=_PATH, metavar="FACE.json", help="Name, colours and mark of the pages (format.md, 11).")
@click.option("--language", default=None, metavar="L", help="Of the start page, when the list is made here.")
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="Where to write: a new folder, or an empty one.")
@json_option
@pass_terminal
def site(
    terminal: Terminal,
    *,
    keys: Path | None,
    listed: Path | None,
    entries: tuple[Path, ...],
    face: Path | None,
    language: str | None,
    out: Path,
) -> None:
    """Write every file that a server with this list serves, byte for byte.

    From --site; or from the entries that organisations signed; or from the manifests alone, signed by nobody. With
    --keys beside one of the others, the manifests must be of the list's identity keys.
    """
    from tipbox.server.web.rendered_site import FILES_PATH, SITE_PATH, render_site

    chosen = _list(keys, listed, entries, language)
    if face is not None:
        chosen = replace(chosen, face=_read(face, _face))
    if keys is not None:
        _compare(keys, chosen)
    made = render_site(chosen)
    made.write(out)
    site_list, files = (out / path.lstrip("/") for path in (SITE_PATH, FILES_PATH))
    terminal.say(f"Wrote {len(made.files) + 1} files to {out}; {files} lists their hashes.")
    if chosen.unsigned:
        terminal.remark(f"no signed entry of {', '.join(chosen.unsigned)}: good for a trial only")
    else:
        terminal.say(f"Every organisation signed its entry. Put {site_list} into the server's folder, and restart it.")
    terminal.result(
        {
            "files": str(files),
            "organisations": [entry.organisation for entry in chosen.entries],
            "site": str(site_list),
            "unsigned": chosen.unsigned,
        }
    )


def _list(keys: Path | None, listed: Path | None, entries: tuple[Path, ...], language: str | None) -> SiteList:
    from tipbox.files.key_folder import load_folder
    from tipbox.formats.site_list import SiteEntry, SiteList

    if listed is not None:
        if entries or language is not None:
            raise Usage("making the site: --site has entries and language; give no --entry and no --language with it")
        return _read(listed, SiteList.parse)
    if entries:
        signed = [_read(path, SiteEntry.parse) for path in entries]
    elif keys is not None:
        signed = [SiteEntry.of(manifest) for manifest in load_folder(keys)]
    else:
        raise Usage("making the site: say of whom, with --site, --entry or --keys")
    return SiteList.of(language or "en", signed)


def _face(data: bytes) -> SiteFace:
    """Written by hand, so in any order."""
    from tipbox.formats.site_face import SiteFace

    try:
        return SiteFace.from_json(json.loads(data))
    except ValueError as error:
        raise Malformed("this is not JSON") from error


def _compare(keys: Path, chosen: SiteList) -> None:
    """IdentityChanged unless each manifest is of an organisation of the list."""
    from tipbox.files.key_folder import load_folder

    known = {entry.identity: entry.organisation for entry in chosen.entries}
    for manifest in load_folder(keys):
        if known.get(manifest.identity) != manifest.organisation:
            raise IdentityChanged(
                f"making the site: the list has no entry with the key that {manifest.organisation} has in {keys}; "
                "get its entry, and compare the digits with the organisation, read aloud"
            )


def _read(path: Path, parse: Callable[[bytes], _T]) -> _T:
    from tipbox.formats.base.limits import MAX_SITE_LIST

    with path.open("rb") as file:
        data = file.read(MAX_SITE_LIST + 1)
    try:
        return parse(data)
    except TipboxError as error:
        raise type(error)(f"reading {path}: {error}") from error
