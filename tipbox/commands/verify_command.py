"""``tipbox verify``: whether what is served, or installed, is what maintainers released (docs/releases.md)."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import IdentityChanged, TipboxError, Usage
from tipbox.files.printable import printable
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAX_SITE_LIST
from tipbox.release.release_errors import Differs
from tipbox.release.release_folder import TrustedRelease, open_release, read_signers

_PATH = click.Path(path_type=Path)
_SHOWN = 20


@click.command()
@click.argument("url", required=False)
@click.option("--release", "folder", required=True, type=_PATH, metavar="DIR", help="The folder of the release.")
@click.option("--signers", required=True, type=_PATH, metavar="FILE", help="signers.json, got by another way.")
@click.option("--site", type=_PATH, metavar="site.json", help="Your copy of the site list; else the server's own.")
@click.option("--socks", metavar="HOST:PORT", help="Tor's SOCKS port.")
@click.option("--not-older", metavar="VERSION", help="Refuse a release that is older than this one.")
@click.option("--installed", is_flag=True, help="In place of an address: compare what is installed on this machine.")
@click.option("--rebuild", metavar="COMMIT", help="In place of an address: build the release again from its source.")
@click.option("--key", type=_PATH, metavar="K", help="With --rebuild: sign what was found with this key.")
@click.option("--out", type=_PATH, metavar="FILE", help="With --key: where to write the signed line.")
@json_option
@pass_terminal
def verify(
    terminal: Terminal,
    *,
    url: str | None,
    folder: Path,
    signers: Path,
    site: Path | None,
    socks: str | None,
    not_older: str | None,
    installed: bool,
    rebuild: str | None,
    key: Path | None,
    out: Path | None,
) -> None:
    """Compare what a server answers with what maintainers signed: 0 the same, 3 differs, 4 not signed, 6 not reached.

    The release's own code makes every page again from the site list. Each path is asked for on a circuit of its own.
    """
    if sum((url is not None, installed, rebuild is not None)) != 1:
        raise Usage("verifying: name one of an address, --installed and --rebuild COMMIT")
    if (key is None) != (out is None) or (key is not None and rebuild is None):
        raise Usage("verifying: --key and --out go together, with --rebuild")
    release = open_release(folder, read_signers(signers), days.today())
    if not_older is not None:
        release.listed.check_not_older(not_older)
    terminal.say(f"Release {release.listed.release}, signed by {', '.join(release.signed_by)}.")
    terminal.say(f"Its release.json has the hash {release.listed.digest}: compare it with others who verify.")
    if url is not None:
        _served(terminal, url, release, site, socks)
    elif installed:
        _installed(terminal, release)
    else:
        _rebuilt(terminal, release, rebuild or "", key, out)


def _served(terminal: Terminal, url: str, release: TrustedRelease, site: Path | None, socks: str | None) -> None:
    from tipbox.formats.manifest import id_digits
    from tipbox.formats.site_list import SiteList
    from tipbox.verify.looking import fetch_site, look
    from tipbox.verify.rendering import expect
    from tipbox.verify.visiting import Visitor

    visitor = Visitor(url, socks)
    data = fetch_site(visitor) if site is None else _read(site)
    try:
        listed = SiteList.parse(data)
    except TipboxError as error:
        whose = "the server's site list" if site is None else str(site)
        raise type(error)(f"reading {whose}: {error}") from error
    if site is None:
        terminal.remark(
            "the site list is the server's own: compare the digits with each organisation, read aloud; "
            "with a copy of your own, name it with --site"
        )
    for entry in listed.entries:
        by = "signed by them" if entry.is_signed else "SIGNED BY NOBODY: good for a trial only"
        terminal.say(f"  {printable(entry.name)} ({entry.organisation}): {id_digits(entry.id)}, {by}")
    result = look(visitor, expect(release.wheel, data), listed, days.today())
    terminal.result(
        {
            "differences": [
                {"kind": one.kind, "path": printable(one.path), "text": one.text} for one in result.differences
            ],
            "organisations": [
                {"identity": entry.identity.hex(), "organisation": entry.organisation, "signed": entry.is_signed}
                for entry in listed.entries
            ],
            "release": release.listed.release,
            "release_digest": release.listed.digest,
            "same": not result.differences,
            "seen": dict(result.seen),
            "signed_by": list(release.signed_by),
            "unreached": list(result.unreached),
        }
    )
    if result.unreached:
        terminal.remark(f"{len(result.unreached)} paths were not reached; the first: {result.unreached[0]}")
    _report(terminal, [one.text for one in result.differences], f"{len(result.seen)} paths, in every language")


def _installed(terminal: Terminal, release: TrustedRelease) -> None:
    from tipbox.verify.installed import compare_installed

    found = compare_installed(release)
    terminal.result({"differences": found, "release": release.listed.release, "same": not found})
    _report(terminal, found, "program, units, firewall and Tor's settings")


def _rebuilt(terminal: Terminal, release: TrustedRelease, commit: str, key: Path | None, out: Path | None) -> None:
    from tipbox.files.durable import write_file
    from tipbox.verify.rebuilding import compare_rebuilt, sign_rebuilt

    if commit != release.listed.commit.hex():
        raise IdentityChanged(
            f"building again: the release is of commit {release.listed.commit.hex()} and not of the one that you named"
        )
    made, found = compare_rebuilt(release)
    terminal.result({"differences": found, "files": made, "release": release.listed.release, "same": not found})
    if key is not None and out is not None and not found:
        write_file(out, sign_rebuilt(release, made, key).data, 0o644)
        terminal.say(f"Wrote {out}: I built commit {commit} to these hashes.")
    _report(terminal, found, "wheel and source, built here from the source alone")


def _report(terminal: Terminal, found: list[str], what: str) -> None:
    for text in found[:_SHOWN]:
        terminal.say(f"DIFFERS  {text}")
    if len(found) > _SHOWN:
        terminal.say(f"… and {len(found) - _SHOWN} more; --json has them all")
    if found:
        raise Differs(
            f"verifying: {len(found)} {'thing differs' if len(found) == 1 else 'things differ'}; the first: {found[0]}"
        )
    terminal.say(f"The same: {what}.")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_SITE_LIST + 1)
