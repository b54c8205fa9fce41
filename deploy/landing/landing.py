"""The page by which an organisation's readers find its tip line: made, signed, and checked.

    python deploy/landing/landing.py make --name NAME --onion ADDRESS --out FOLDER [--language en …] [--sign KEY]
    python deploy/landing/landing.py lint FOLDER [--signers FILE] [--headers FILE]

The page is one static file with nothing of a third party in it. The onion address stands there as text and not as a
link: a click in an ordinary browser would tell the visitor's network which address was asked for. The signature is
one of `ssh-keygen -Y sign` (Ed25519), which every Debian, Tails and macOS can check.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import click
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE: Final = Path(__file__).resolve().parent
NAMESPACE: Final = "tipbox-landing"
PAGE: Final = "index.html"
SUMS: Final = "SHA256SUMS"
LARGEST_PAGE: Final = 30_000
"""Bytes: a page that loads on the worst line."""
OLD_DAYS: Final = 180
"""Advice on bridges goes stale: a page older than this is to be read again and made anew."""
ONION: Final = re.compile(r"[a-z2-7]{55}d\.onion", re.ASCII)
"""Version 3: the last character encodes the version, and is always a d."""
POLICY: Final = "default-src 'none'; style-src '{style}'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a page, and what to do."""

    file: str
    what: str


def check_onion(address: str) -> str:
    """The address when it is one of version 3 with a right checksum.

    Raises:
        click.BadParameter: it is not; a typing error would send sources to nobody, or to somebody else.
    """
    if not ONION.fullmatch(address):
        raise click.BadParameter("an onion address has 56 letters and digits before .onion")
    data = base64.b32decode(address.removesuffix(".onion").upper())
    key, checksum, version = data[:32], data[32:34], data[34:]
    if hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2] != checksum:
        raise click.BadParameter("there is a typing error in the onion address: its checksum is not right")
    return address


def style_hash(style: str) -> str:
    """A style sheet's name in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def render(language: str, *, name: str, onion: str, day: date, languages: list[str]) -> str:
    """One page."""
    words: dict[str, Any] = tomllib.loads((HERE / f"{language}.toml").read_text(encoding="utf-8"))
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    style = (HERE / "style.css").read_text(encoding="utf-8").strip()
    return environment.get_template("page.html").render(
        words=words,
        name=name,
        groups=[onion[at : at + 8] for at in range(0, len(onion.removesuffix(".onion")), 8)],
        onion=onion,
        day=day.isoformat(),
        language=language,
        others=[other for other in languages if other != language],
        style=style,
        policy=POLICY.format(style=style_hash(style)),
    )


class _Page(HTMLParser):
    """Collects what a page could load, say or link to."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.metas: dict[str, str] = {}
        self.links: list[str] = []
        self.text = ""
        self._style = False
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        values = {name: value or "" for name, value in attrs}
        allowed = {
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "h1",
            "h2",
            "p",
            "ol",
            "ul",
            "li",
            "strong",
        }
        allowed |= {"code", "a", "nav", "footer", "span"}
        if tag not in allowed:
            self.faults.append(f"<{tag}>: only text, headings, lists and links inside the page are needed")
        self.faults += [f"{name}=: no scripts" for name in values if name.startswith("on")]
        self.faults += [f"{name}=: nothing is loaded" for name in ("src", "srcset", "background") if name in values]
        if "style" in values:
            self.faults.append("style=: the policy forbids it; put it into the style sheet")
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "meta":
            self.metas[values.get("http-equiv", values.get("name", "charset")).lower()] = values.get("content", "utf-8")
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        """The end of one."""
        if tag == "style":
            self._style = False

    def handle_data(self, data: str) -> None:
        """What is read, and the style sheet."""
        if self._style:
            self.style += data
        else:
            self.text += data


def lint_page(path: Path, today: date) -> list[Fault]:
    """What is wrong with one page."""
    data = path.read_bytes()
    page = _Page()
    page.feed(data.decode("utf-8"))
    found = list(page.faults)
    if len(data) > LARGEST_PAGE:
        found.append(f"{len(data)} bytes: a page of at most {LARGEST_PAGE} loads on the worst line")
    if page.metas.get("referrer") != "no-referrer":
        found.append("referrer: say <meta name=referrer content=no-referrer>; other sites learn of the page otherwise")
    if page.metas.get("content-security-policy") != POLICY.format(style=style_hash(page.style)):
        found.append("policy: it must be the one that forbids everything but this page's style sheet")
    if re.search(r"url\(|@import", page.style):
        found.append("style: it loads something")
    found += [
        f"link to {link}: pages of this folder only"
        for link in page.links
        if not re.fullmatch(r"(#|\./)[a-z.-]*", link)
    ]
    if ".onion" in "".join(page.links):
        found.append("the onion address is a link: a click in an ordinary browser would give it away")
    found += _lint_text(page.text, today)
    return [Fault(path.name, one) for one in found]


def _lint_text(text: str, today: date) -> list[str]:
    found = []
    addresses = set(re.findall(r"[a-z2-7]{56}\.onion", "".join(text.split())))
    if len(addresses) != 1:
        found.append(f"{len(addresses)} onion addresses: exactly one must be readable")
    for address in addresses:
        try:
            check_onion(address)
        except click.BadParameter as error:
            found.append(error.message)
    made = re.search(r"\b(\d{4}-\d{2}-\d{2})\b", text)
    if made is None:
        found.append("no day: readers must see how old the advice is")
    elif (age := (today - date.fromisoformat(made[1])).days) > OLD_DAYS:
        found.append(f"{age} days old: read the advice on bridges again, and make the page anew")
    if re.search(r"https?://|//[a-z]", text):
        found.append("an address of the web in the text: name things, not places that can be blocked or watched")
    return found


def lint(folder: Path, today: date, signers: Path | None = None) -> list[Fault]:
    """What is wrong with a folder that ``make`` has made and others may have touched."""
    pages = sorted(folder.glob("*.html"))
    faults = [fault for page in pages for fault in lint_page(page, today)]
    if not (folder / PAGE).is_file():
        faults.append(Fault(PAGE, "it is missing"))
    listed = {}
    if (folder / SUMS).is_file():
        listed = {line[66:]: line[:64] for line in (folder / SUMS).read_text().splitlines()}
    there = {path.name: path for path in folder.iterdir() if path.name not in {SUMS, f"{SUMS}.sig"}}
    for name in sorted(listed.keys() | there.keys()):
        if name not in listed or name not in there:
            faults.append(
                Fault(name, "it is not in SHA256SUMS" if name in there else "SHA256SUMS lists it; it is missing")
            )
        elif hashlib.sha256(there[name].read_bytes()).hexdigest() != listed[name]:
            faults.append(Fault(name, "it is not what was signed"))
    if signers is not None and not _signed(folder, signers):
        faults.append(Fault(f"{SUMS}.sig", "the signature is missing or not right"))
    return faults


def _signed(folder: Path, signers: Path) -> bool:
    if not (folder / f"{SUMS}.sig").is_file():
        return False
    known = str(signers.resolve())  # the command runs in the folder
    command = ("ssh-keygen", "-Y", "verify", "-f", known, "-I", "tipbox", "-n", NAMESPACE, "-s", f"{SUMS}.sig")
    with (folder / SUMS).open("rb") as sums:
        return subprocess.run(command, cwd=folder, stdin=sums, capture_output=True, check=False).returncode == 0


HEADERS: Final = {
    "content-security-policy": "default-src 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=",
}
"""What the organisation's web server must say with the page."""
FORBIDDEN: Final = ("set-cookie", "report-to", "nel", "link", "refresh", "server-timing")
"""What it must not say: each of these remembers, reports or loads."""


def lint_headers(text: str) -> list[Fault]:
    """What is wrong with the headers of the page as it is served (``curl --head`` writes them)."""
    said = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            said[name.strip().lower()] = value.strip()
    faults = [
        Fault("headers", f"{name}: it must say {value}")
        for name, value in HEADERS.items()
        if value not in said.get(name, "")
    ]
    return faults + [Fault("headers", f"{name}: leave it out") for name in FORBIDDEN if name in said]


@click.group()
def main() -> None:
    """Make and check the page by which readers find the tip line."""


@main.command()
@click.option("--name", required=True, help="Of the organisation, as its readers know it.")
@click.option(
    "--onion", required=True, callback=lambda _c, _p, value: check_onion(value), help="Of the sources' service."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A folder; it must not exist."
)
@click.option("--language", "languages", multiple=True, default=("en",), help="The first is the page one comes to.")
@click.option(
    "--sign", "key", type=click.Path(path_type=Path, exists=True), help="Ed25519 key (ssh-keygen -t ed25519)."
)
def make(*, name: str, onion: str, out: Path, languages: tuple[str, ...], key: Path | None) -> None:
    """Make the folder to put on the organisation's web server."""
    known = sorted(path.stem for path in HERE.glob("*.toml"))
    if unknown := [one for one in languages if one not in known]:
        raise click.BadParameter(f"there are no words in {unknown[0]}; there are {', '.join(known)}")
    out.mkdir(parents=True)
    today = datetime.now(UTC).date()
    for number, language in enumerate(languages):
        text = render(language, name=name, onion=onion, day=today, languages=list(languages))
        (out / (f"{language}.html" if number else PAGE)).write_text(text, encoding="utf-8")
        if not number and len(languages) > 1:
            (out / f"{language}.html").write_text(text, encoding="utf-8")
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(out.iterdir()))
    (out / SUMS).write_text("".join(list(sums)))
    if key is not None:
        subprocess.run(("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, out / SUMS), check=True)
    faults = lint(out, today)
    _report(faults)
    click.echo(f"{out}: {len(languages)} languages, {'signed' if key else 'not signed'}")


@main.command("lint")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--signers", type=click.Path(path_type=Path, exists=True), help="allowed_signers with the organisation's key."
)
@click.option("--headers", type=click.File(), help="What `curl --head` says of the served page.")
def lint_command(*, folder: Path, signers: Path | None, headers: Any) -> None:
    """Check a folder, or what came back from the web server."""
    faults = lint(folder, datetime.now(UTC).date(), signers)
    if headers is not None:
        faults += lint_headers(headers.read())
    _report(faults)
    click.echo("well")


def _report(faults: list[Fault]) -> None:
    for fault in faults:
        click.echo(f"{fault.file}: {fault.what}", err=True)
    if faults:
        sys.exit(3)


if __name__ == "__main__":
    main()
