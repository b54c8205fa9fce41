"""``tipbox watch``: looks at servers again and again, as a source would, and writes a signed line after each look."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import NetworkFailed, Usage
from tipbox.files.printable import printable
from tipbox.formats.base import days
from tipbox.release.release_errors import Differs
from tipbox.release.release_folder import open_release, read_signers

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_EVERY = re.compile(r"([1-9][0-9]{0,3})([smh])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _LooksByDefault(click.Group):
    """Without the name of a command, ``watch URL …`` looks."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name in where none stands."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["look", *args]
        return super().parse_args(ctx, args)


def _interval(_context: click.Context, _option: click.Parameter, value: str) -> int:
    match = _EVERY.fullmatch(value)
    if not match:
        raise click.BadParameter("give it as 6h, 30m or 90s")
    return int(match[1]) * _SECONDS[match[2]]


@click.group(cls=_LooksByDefault)
def watch() -> None:
    """Look at servers as a source does, and compare what watchers were told. `tipbox watch URL …` looks."""


@watch.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option("--release", "folder", required=True, type=_PATH, metavar="DIR", help="The folder of the release.")
@click.option("--signers", required=True, type=_PATH, metavar="FILE", help="signers.json, got by another way.")
@click.option("--site", required=True, type=_FILE, metavar="site.json", help="A copy of the site list.")
@click.option("--key", required=True, type=_PATH, metavar="K", help="Signs the lines; made when it is not there.")
@click.option("--log", required=True, type=_PATH, metavar="FILE", help="Where the lines go, one after each look.")
@click.option("--every", default="6h", callback=_interval, metavar="6h", help="How long a look takes: 6h, 30m, 90s.")
@click.option("--looks", default=0, type=click.IntRange(0), metavar="N", help="End after so many; 0: never.")
@click.option("--socks", metavar="HOST:PORT", help="Tor's SOCKS port.")
@json_option
@pass_terminal
def look(
    terminal: Terminal,
    *,
    urls: tuple[str, ...],
    folder: Path,
    signers: Path,
    site: Path,
    key: Path,
    log: Path,
    every: int,
    looks: int,
    socks: str | None,
) -> None:
    """Look at each address, its visits spread at random over the interval, and write down what it answered.

    The visits load pages in every language as Firefox at Tor Browser's level Safer does, each on a circuit of its own.
    """
    from tipbox.formats.site_list import SiteList
    from tipbox.verify.rendering import expect
    from tipbox.verify.visiting import Visitor
    from tipbox.verify.watch_key import read_key
    from tipbox.verify.watching import Watch, append_line, line_of, take_up

    trusted = read_signers(signers)
    release = open_release(folder, trusted, days.today())
    data = site.read_bytes()
    watching = Watch(expect(release.wheel, data), SiteList.parse(data))
    visitors = {url: Visitor(url, socks) for url in urls}
    signing = read_key(key)
    lines = list(take_up(log, signing))
    made: list[dict[str, Any]] = []
    number = 0
    while not looks or number < looks:
        number += 1
        order = list(urls)
        watching.choose.shuffle(order)
        for url in order:
            release.listed.check_day(days.today())
            seen: Any
            try:
                seen = watching.look(visitors[url], every / len(urls), days.today)
            except NetworkFailed as error:
                seen = error
            line = line_of(url, release.listed.release, seen, lines[-1] if lines else None, signing)
            append_line(log, line)
            lines.append(line)
            made.append({name: line.said[name] for name in ("at", "found", "result", "url")})
            terminal.say(f"{line.said['at']} {printable(url)}: {line.said['result']}")
            for text in made[-1]["found"]:
                terminal.say(f"  DIFFERS  {text}")
    terminal.result({"looks": made})
    if different := [one for one in made if one["result"] == "differs"]:
        raise Differs(f"watching: {len(different)} of {len(made)} looks differ; the first: {different[0]['found'][0]}")
    if made and all(one["result"] == "unreached" for one in made):
        raise NetworkFailed("watching: nothing was reached; check the addresses, the network and --socks")


@watch.command()
@click.argument("files", metavar="A B", nargs=2, type=_FILE)
@json_option
@pass_terminal
def compare(terminal: Terminal, *, files: tuple[Path, Path]) -> None:
    """Find where two watchers were told different things at the same time. Their lines are checked first.

    Anybody can write lines: compare each file's key with the one that its watcher published.
    """
    from tipbox.formats.base.fields import to_base64
    from tipbox.verify.watching import compare as compare_lines
    from tipbox.verify.watching import looked_at_by_both, read_lines

    one, other = (read_lines(path) for path in files)
    if not one or not other:
        raise Usage("comparing: one of the files has no line")
    if one[0].key == other[0].key:
        raise Usage("comparing: both files are of one watcher; get another watcher's")
    found, followed = compare_lines(one, other)
    both = looked_at_by_both(one, other)
    if not found and not both:
        raise Usage("comparing: there is no address of which both were told something")
    terminal.result(
        {
            "addresses": both,
            "differences": found,
            "followed": followed,
            "keys": [to_base64(one[0].key), to_base64(other[0].key)],
            "lines": [len(one), len(other)],
            "same": not found,
        }
    )
    for path, lines in zip(files, (one, other), strict=True):
        terminal.say(f"{printable(str(path))}: {len(lines)} looks, signed by {to_base64(lines[0].key)}")
    for text in found:
        terminal.say(f"TWO FACES  {printable(text, 500)}")
    for text in followed:
        terminal.say(f"AFTERWARDS  {printable(text, 500)}: an upgrade, or a clock that is wrong")
    if found:
        raise Differs(f"comparing: the watchers were told different things: {found[0]}")
    terminal.say(f"The same, as far as both looked: {', '.join(map(printable, both))}")
