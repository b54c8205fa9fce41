"""``tipbox keys``: the ceremony."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from tipbox.commands.desk.desk_person import SHORT
from tipbox.commands.desk.vault_options import unlock_vault, vault_option
from tipbox.commands.terminal import (
    ASK,
    Terminal,
    json_option,
    keep_inputs,
    pass_terminal,
    passphrase_option,
    read_passphrase,
    unlock_with,
)
from tipbox.desk.keys import ceremony, identity_file
from tipbox.desk.keys.ceremony import PublishedChain
from tipbox.desk.keys.destroy import destroy as destroy_oldest
from tipbox.desk.keys.notices import read_words, sign_notice
from tipbox.desk.keys.verify import ManifestCheck, check_folder
from tipbox.desk.vault.vault import Vault
from tipbox.errors import InputRefused, Usage, WrongPassphrase
from tipbox.files.printable import printable
from tipbox.formats.base import days
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.manifest import id_digits

_PATH = click.Path(path_type=Path)
_identity_option = click.option("--identity", type=_PATH, help="The identity file; V.identity when not given.")
_identity_passphrase_option = click.option(
    "--identity-passphrase-file",
    "identity_file_passphrase",
    type=_PATH,
    metavar="F",
    help="File with the identity file's passphrase, when it is another than yours. Without it, a terminal asks.",
)


@click.group()
def keys() -> None:
    """Make, publish, verify, replace and destroy an organisation's keys."""


@keys.command()
@vault_option
@click.option("--org", required=True, metavar="NAME", help="Short name: 1 to 32 of a-z, 0-9 and -.")
@passphrase_option
@_identity_option
@click.option("--name", "full_name", default="", help="Full name, for people.")
@click.option("--country", default="", metavar="CC", help="Two capital letters.")
@click.option(
    "--language", "languages", multiple=True, metavar="L", help="A language that you read (kk, ru); repeat it."
)
@click.option("--person", default="", metavar="NAME", help="Your name, as your colleagues write it.")
@json_option
@pass_terminal
def init(
    terminal: Terminal,
    *,
    vault: Path,
    org: str,
    passphrase_file: Path,
    identity: Path | None,
    full_name: str,
    country: str,
    languages: tuple[str, ...],
    person: str,
) -> None:
    """Make a vault, its key stick (V.keys), an identity file and receiving keys for a year."""
    passphrase = read_passphrase(terminal, passphrase_file, twice=True)
    if len(passphrase) < SHORT:
        terminal.remark("this passphrase is short, and a seized vault can be tried for years: take six words by dice")
    organisation = ceremony.init(
        vault,
        passphrase,
        name=org,
        full_name=full_name,
        country=country,
        languages=languages,
        today=days.today(),
        identity=identity,
        person=person,
    )
    where = identity or identity_file.identity_path(vault)
    terminal.say(f"Made the vault {vault}, the key stick {organisation.stick} and the identity file {where}.")
    terminal.say(f"Identity of {organisation.name}, to compare, read aloud: {id_digits(organisation.id)}")
    terminal.say("Keep the identity file apart from the vault. Next: tipbox keys publish")
    terminal.result(
        {
            "check_digits": id_digits(organisation.id),
            "id": organisation.id.hex(),
            "identity": str(where),
            "organisation": organisation.name,
            "stick": organisation.stick,
            "vault": str(vault),
        }
    )


def _signing_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the commands that sign manifests with the identity file."""
    options = (
        vault_option,
        click.option("--out", required=True, type=_PATH, metavar="keys/NAME.json", help="Where to write the manifest."),
        passphrase_option,
        _identity_option,
        _identity_passphrase_option,
        click.option(
            "--today",
            "sure",
            type=click.DateTime(["%Y-%m-%d"]),
            help="The date that it is, when the command doubts it.",
        ),
        json_option,
        pass_terminal,
    )
    for option in reversed(options):
        command = option(command)
    return command


@keys.command()
@_signing_options
def publish(
    terminal: Terminal,
    *,
    vault: Path,
    out: Path,
    passphrase_file: Path,
    identity: Path | None,
    identity_file_passphrase: Path | None,
    sure: datetime | None,
) -> None:
    """Sign a manifest that is valid now, and in advance those of the year, which go out with the outboxes."""

    def sign(opened: Vault, key: SigningKey, _: bytes) -> PublishedChain:
        return ceremony.publish(opened, key, out, today=days.today(), sure=sure and sure.date())

    keys_of = (identity, identity_file_passphrase)
    _sign(terminal, vault, out, passphrase_file, keys_of=keys_of, sign=sign)


@keys.command()
@_signing_options
def rotate(
    terminal: Terminal,
    *,
    vault: Path,
    out: Path,
    passphrase_file: Path,
    identity: Path | None,
    identity_file_passphrase: Path | None,
    sure: datetime | None,
) -> None:
    """Make receiving keys for a year from now, and revoke all manifests before."""

    def sign(opened: Vault, key: SigningKey, passphrase: bytes) -> PublishedChain:
        stick = ceremony.find_stick(opened, ceremony.organisation_of(opened))
        return ceremony.rotate(opened, key, stick, passphrase, out, today=days.today(), sure=sure and sure.date())

    keys_of = (identity, identity_file_passphrase)
    _sign(terminal, vault, out, passphrase_file, keys_of=keys_of, sign=sign)


@keys.command()
@click.option(
    "--vault", type=_PATH, metavar="V", help="The vault's folder; when not given, that beside the identity file."
)
@_identity_option
@_identity_passphrase_option
@passphrase_option
@click.option("--out", required=True, type=_PATH, metavar="ENTRY.json", help="Where to write the entry.")
@click.option(
    "--onion", "onions", multiple=True, metavar="ADDRESS", help="An onion service that it is meant for; repeat it."
)
@click.option(
    "--about",
    multiple=True,
    nargs=2,
    metavar="L TEXT",
    help="One line on who you are, in the language L: ru 'We have helped prisoners since 2002.'; repeat it.",
)
@json_option
@pass_terminal
def site(
    terminal: Terminal,
    *,
    vault: Path | None,
    identity: Path | None,
    identity_file_passphrase: Path | None,
    passphrase_file: Path,
    out: Path,
    onions: tuple[str, ...],
    about: tuple[tuple[str, str], ...],
) -> None:
    """Sign the organisation's own entry of a server's list, which the pages carry: name, languages, identity key."""
    vault, identity = _vault_and_identity(vault, identity)
    keep_inputs(out, passphrase_file, identity)
    opened, passphrase = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        key = _load_identity(terminal, identity, identity_file_passphrase, passphrase)
        entry = ceremony.sign_site_entry(opened, key, out, onions, dict(about))
    terminal.say(f"Wrote {out}: {entry.organisation}, identity {id_digits(entry.id)}. Give it to the operator.")
    terminal.result(
        {
            "check_digits": id_digits(entry.id),
            "file": str(out),
            "id": entry.id.hex(),
            "onions": list(entry.onions),
            "organisation": entry.organisation,
        }
    )


@keys.command()
@vault_option
@passphrase_option
@click.option(
    "--text",
    "texts",
    multiple=True,
    nargs=2,
    required=True,
    metavar="L FILE",
    help="A file with the words in the language L, at most 2,000 bytes; repeat it for another language.",
)
@click.option("--until", "last", required=True, metavar="DAY", help="The last day on which it is shown: 2026-12-06.")
@click.option("--out", required=True, type=_PATH, metavar="NOTICE.json", help="Where to write the notice.")
@json_option
@pass_terminal
def notice(
    terminal: Terminal, *, vault: Path, passphrase_file: Path, texts: tuple[tuple[str, str], ...], last: str, out: Path
) -> None:
    """Sign a notice for the pages, such as bridges that work now: the organisation's words, until a last day."""
    keep_inputs(out, passphrase_file, *(Path(file) for _, file in texts))
    words = {tag: read_words(Path(file)) for tag, file in texts}
    opened, _ = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        signed = sign_notice(opened, words, days.parse(last), out, today=days.today())
    terminal.say(f"Wrote {out}: shown from {signed.start} to {last}. Give it to the operator.")
    terminal.result({"file": str(out), "from": signed.start.isoformat(), "languages": sorted(words), "until": last})


def _vault_and_identity(vault: Path | None, identity: Path | None) -> tuple[Path, Path]:
    """Both from one of them, where they lie as the ceremony made them."""
    if vault is not None:
        return vault, identity or identity_file.identity_path(vault)
    if identity is None:
        raise Usage("signing an entry: name the vault with --vault, or the identity file with --identity")
    vault = identity_file.vault_path(identity)
    if vault is None or not vault.is_dir():
        raise Usage(f"signing an entry: there is no vault beside {identity}; name it with --vault")
    return vault, identity


def _sign(
    terminal: Terminal,
    vault: Path,
    out: Path,
    passphrase_file: Path,
    *,
    keys_of: tuple[Path | None, Path | None],
    sign: Callable[[Vault, SigningKey, bytes], PublishedChain],
) -> None:
    """Open the vault and the identity file, sign with both, and say what was published.

    ``keys_of``: the identity file and the file with its passphrase, where they are named.
    """
    identity, its_passphrase = keys_of
    identity = identity or identity_file.identity_path(vault)
    keep_inputs(out, passphrase_file, identity)
    opened, passphrase = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        published = sign(opened, _load_identity(terminal, identity, its_passphrase, passphrase), passphrase)
    _say_published(terminal, out, published)


def _load_identity(terminal: Terminal, identity: Path, its_passphrase: Path | None, own: bytes) -> SigningKey:
    """The identity key: its file is locked with the passphrase of whoever made it, which may be another than yours."""
    if its_passphrase is None:
        try:
            return identity_file.load(identity, own)
        except WrongPassphrase:
            if not terminal.asks:
                raise
        terminal.remark("the identity file has another passphrase:")
    return unlock_with(terminal, its_passphrase or ASK, lambda form: identity_file.load(identity, form))


def _say_published(terminal: Terminal, out: Path, published: PublishedChain) -> None:
    manifest = published.manifest
    generation, index = manifest.serial
    terminal.say(f"Wrote {out}: serial {generation}.{index}, valid until {manifest.end}.")
    terminal.say(
        f"{published.following} more are signed in advance, and go out with the outboxes when they are due. "
        f"Run keys rotate before {published.covered}; publish again before {manifest.end} if no outbox is carried."
    )
    terminal.result(
        {
            "covered": published.covered.isoformat(),
            "file": str(out),
            "following": published.following,
            "organisation": manifest.organisation,
            "serial": list(manifest.serial),
            "until": manifest.end.isoformat(),
        }
    )


@keys.command()
@click.option("--keys", "folder", required=True, type=_PATH, metavar="DIR", help="Folder of manifests.")
@json_option
@pass_terminal
def verify(terminal: Terminal, folder: Path) -> None:
    """Check each manifest of a folder and show what to compare with its organisation."""
    checked = check_folder(folder, days.today())
    for check in checked:
        terminal.say(_line(check))
    terminal.result([_facts(check) for check in checked])
    bad = sum(bool(check.problems) for check in checked)
    if bad:
        raise InputRefused(f"verifying key manifests: {bad} of {len(checked)} must not be used; get new ones")


def _line(check: ManifestCheck) -> str:
    problems = "; ".join(str(problem) for problem in check.problems)
    if check.manifest is None:
        return f"{printable(check.file)}: BAD: {problems}"
    manifest = check.manifest
    generation, index = manifest.serial
    return (
        f"{printable(check.file)}: {manifest.organisation} ({printable(manifest.name)}), identity "
        f"{id_digits(manifest.id)}, serial {generation}.{index}, valid until {manifest.end}: "
        f"{'BAD: ' + problems if problems else 'good'}"
    )


def _facts(check: ManifestCheck) -> dict[str, object]:
    manifest = check.manifest
    facts: dict[str, object] = {
        "file": check.file,
        "problems": [{"error": problem.code, "message": str(problem)} for problem in check.problems],
    }
    if manifest is not None:
        facts |= {
            "check_digits": id_digits(manifest.id),
            "id": manifest.id.hex(),
            "name": manifest.name,
            "organisation": manifest.organisation,
            "serial": list(manifest.serial),
            "until": manifest.end.isoformat(),
        }
    return facts


@keys.command()
@vault_option
@passphrase_option
@json_option
@pass_terminal
def destroy(terminal: Terminal, vault: Path, passphrase_file: Path) -> None:
    """Destroy the private half of the oldest receiving key, when nothing sealed to it can arrive any more."""
    opened, passphrase = unlock_vault(terminal, vault, passphrase_file, write=True)
    with opened:
        stick = ceremony.find_stick(opened, ceremony.organisation_of(opened))
        done = destroy_oldest(opened, stick, passphrase, today=days.today())
    terminal.say(f"Destroyed the receiving key of {done.record.start} to {done.record.end}; {done.remaining} are left.")
    terminal.say("Copies of the key stick that were made before still hold it: destroy them as well.")
    terminal.result(
        {
            "day": done.record.day.isoformat(),
            "from": done.record.start.isoformat(),
            "id": done.record.id.hex(),
            "left": done.remaining,
            "until": done.record.end.isoformat(),
        }
    )
