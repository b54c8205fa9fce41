"""``tipbox server site``: the pages as files, and the list of organisations that they are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tipbox.commands.terminal import Terminal, json_option, keep_inputs, pass_terminal
from tipbox.errors import Expired, IdentityChanged, Malformed, TipboxError, Usage

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


@click.command("offline-page")
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--site", "listed", type=_PATH, metavar="site.json", help="The site list; else one of the manifests.")
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="L",
    help="Only in this language; repeat it. It opens in the first.",
)
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE.html", help="Where to write; FILE.html.sha256 beside it."
)
@json_option
@pass_terminal
def offline_page(terminal: Terminal, *, keys: Path, listed: Path | None, languages: tuple[str, ...], out: Path) -> None:
    """Write one HTML file that seals and opens without a network, and its SHA-256."""
    from tipbox.files.durable import write_file
    from tipbox.files.key_folder import load_folder
    from tipbox.formats.base import days
    from tipbox.server.offline_page import render_offline_page

    keep_inputs(out, *([listed] if listed else []), *keys.glob("*.json"))
    chosen = _list(keys, listed, (), None)
    made = render_offline_page(chosen, load_folder(keys), languages)
    if made.last_day < days.today():
        raise Expired(
            f"making the offline page: the manifests in {keys} could be sealed to until {made.last_day} only; "
            "get newer ones from the organisations"
        )
    write_file(out, made.data, 0o644)
    digest = out.with_name(f"{out.name}.sha256")
    write_file(digest, f"{made.sha256}  {out.name}\n".encode(), 0o644)
    terminal.say(f"Wrote {out}: {len(made.data):,} bytes. It seals up to and including {made.last_day}.")
    terminal.say(f"SHA-256: {made.sha256}")
    if made.left_out:
        terminal.remark(f"without a manifest, and so not in the page: {', '.join(made.left_out)}")
    if chosen.unsigned:
        terminal.remark(f"no signed entry of {', '.join(chosen.unsigned)}: good for a trial only")
    terminal.result(
        {
            "file": str(out),
            "languages": list(made.languages),
            "last_day": made.last_day.isoformat(),
            "left_out": list(made.left_out),
            "sha256": made.sha256,
            "size": len(made.data),
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
