"""``tipbox courier``: carries sealed Bundles between a server and the stick. Needs Debian's tor, or a running one.

Each command imports what it needs when it is called: help is there without the extra ``source``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.courier.courier_key import PUBLIC_SUFFIX, CourierKey
from tipbox.errors import InputRefused, NotFound, NotTipbox, PartlyDone
from tipbox.files.printable import printable

if TYPE_CHECKING:
    from tipbox.courier.pouch import Pouched

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.argument("url"),
        click.option("--key", "key_file", required=True, type=_PATH, metavar="K", help="What keygen wrote."),
        click.option("--socks", metavar="HOST:PORT", help="A running Tor that has the key; else one is started."),
        click.option("--torrc", type=_FILE, metavar="FILE", help="More lines for the Tor that is started: bridges."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def courier() -> None:
    """Carry sealed Bundles between a server and the stick."""


@courier.command()
@click.option("--out", required=True, type=_PATH, metavar="K", help="Where to write the private half.")
@json_option
@pass_terminal
def keygen(terminal: Terminal, *, out: Path) -> None:
    """Make the key by which the couriers' onion service lets its holder in."""
    # A key that is overwritten locks the courier out until the operator has the new one.
    if out.exists() or out.with_name(out.name + PUBLIC_SUFFIX).exists():
        raise InputRefused(f"making a key: {out} or its {PUBLIC_SUFFIX} is there already; name another file")
    key = CourierKey.generate()
    public = key.save(out)
    terminal.say(f"Private half: {out} (keep it on the courier's machine)")
    terminal.say(f"Public half: {public}; the operator gives its folder to install.sh --couriers. It holds this line:")
    terminal.say(key.authorized_client)
    terminal.result({"authorized_client": key.authorized_client, "private": str(out), "public": str(public)})


@courier.command()
@_connection_options
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="Folder for the volumes: the stick.")
@click.option("--org", "organisations", multiple=True, metavar="ORG", help="Only this organisation's; repeat it.")
@json_option
@pass_terminal
def fetch(
    terminal: Terminal,
    *,
    url: str,
    key_file: Path,
    socks: str | None,
    torrc: Path | None,
    out: Path,
    organisations: tuple[str, ...],
) -> None:
    """Fetch what waits on the server, for every organisation or for those named. Run again, it goes on after a cut."""
    from tipbox.courier.carry import fetch as fetch_volumes
    from tipbox.courier.carry import list_volumes
    from tipbox.courier.reach import courier_connection

    key = CourierKey.load(key_file)
    with courier_connection(url, key, socks, _read(torrc)) as connection:
        volumes = list_volumes(connection, organisations)
        with terminal.progress("fetching", sum(volume.size for volume in volumes)) as progress:
            fetched = list(fetch_volumes(connection, volumes, out, progress))
    for result in fetched:
        terminal.say(f"{'Had' if result.known else 'Fetched'} {result.path}: {result.volume.size:,} bytes")
    terminal.result(
        {
            "volumes": [
                {"file": str(result.path), "organisation": result.volume.organisation, "size": result.volume.size}
                for result in fetched
            ]
        }
    )


@courier.command()
@_connection_options
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@json_option
@pass_terminal
def deliver(
    terminal: Terminal, *, url: str, key_file: Path, socks: str | None, torrc: Path | None, files: tuple[Path, ...]
) -> None:
    """Deliver Bundles that desks wrote. Delivering one again does no harm."""
    from tipbox.courier.carry import deliver as deliver_bundle
    from tipbox.courier.reach import courier_connection

    key = CourierKey.load(key_file)
    complete: dict[str, bool] = {}
    with (
        courier_connection(url, key, socks, _read(torrc), operation="delivering") as connection,
        terminal.progress("delivering", sum(path.stat().st_size for path in files)) as progress,
    ):
        for path in files:
            complete[str(path)] = deliver_bundle(connection, path, progress)
    for name, taken in complete.items():
        terminal.say(f"Delivered {printable(name)}{'' if taken else ': some items were refused'}")
    terminal.result({"delivered": [{"file": name, "whole": taken} for name, taken in complete.items()]})
    if not all(complete.values()):
        raise PartlyDone("delivering: the server refused some items; the next volumes for the desk say which")


@courier.command()
@_connection_options
@click.argument("places", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@json_option
@pass_terminal
def pouch(
    terminal: Terminal, *, url: str, key_file: Path, socks: str | None, torrc: Path | None, places: tuple[Path, ...]
) -> None:
    """Carry sealed tips of others, .tip files and pieces, from folders to the server. Again does no harm."""
    from tipbox.courier.pouch import Pouched, carry, pack, to_json
    from tipbox.courier.reach import courier_connection

    unread: list[Path] = []
    packed = pack(places, lambda path, _: unread.append(path))
    for path in unread:
        terminal.remark(f"{printable(path.name)} could not be read; copy it again")
    broken = [Pouched(path, NotTipbox.code) for path in packed.broken]
    if not packed.files:
        for result in broken:
            _remark(terminal, result)
        raise NotFound("packing: there is no .tip file and no piece in these folders")
    key = CourierKey.load(key_file)
    with (
        courier_connection(url, key, socks, _read(torrc), operation="carrying") as connection,
        terminal.progress("carrying", sum(path.stat().st_size for path in packed.files)) as progress,
    ):
        results = [*carry(connection, packed.files, progress), *broken]
    bad = [result for result in results if result.fate != "here"]
    for result in bad:
        _remark(terminal, result)
    tips = {result.tip: result for result in results if result.tip}  # the last word on each
    stored = sum(result.stored for result in tips.values())
    waiting = [result for result in tips.values() if not result.stored and result.count]
    terminal.say(
        f"{len(packed.files)} files carried; passed over: {packed.doubles} doubled, {packed.others} not tipbox's. "
        f"{stored} tips are whole on the server."
    )
    for result in waiting:
        terminal.say(f"A tip of {result.count} pieces waits for {len(result.missing)}: {_numbers(result.missing)}")
    terminal.result(
        {
            "doubled": packed.doubles,
            "files": [to_json(result) for result in results],
            "others": packed.others,
            "stored": stored,
            "waiting": [{"missing": list(result.missing), "pieces": result.count} for result in waiting],
        }
    )
    if bad or unread:
        raise PartlyDone("carrying: some files were not taken, see above; the others were")


def _remark(terminal: Terminal, result: Pouched) -> None:
    terminal.remark(f"{printable(result.path.name)}: {_FATES.get(result.fate, result.fate)}")


_FATES: Final = {
    "not-tipbox": "it is called a tip and is none: empty, or its start is damaged; copy it again",
    "damaged": "it came damaged; what is whole of it was kept: copy it again",
    "foreign": "its token is that of another tip; it was changed by somebody",
    "differs": "it does not fit what came before, and that tip was given up: carry all of its pieces again",
    "unknown": "it is sealed to an organisation that this server does not have",
}
_MOST_NAMED: Final = 20


def _numbers(missing: tuple[int, ...]) -> str:
    named = ", ".join(map(str, missing[:_MOST_NAMED]))
    return f"{named} and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else named


def _read(torrc: Path | None) -> str:
    return "" if torrc is None else torrc.read_text(encoding="utf-8")
