"""Extracts what people read into tipbox/locale/tipbox.pot, in an order that does not change; `make messages` runs it.

The desk's pages have a catalogue of their own, tipbox/locale/desk.pot: no server needs it. With a folder as its
argument it writes the templates there and leaves the catalogues alone.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
LOCALE = ROOT / "tipbox" / "locale"
DOMAINS = ("tipbox", "desk")
OF_THE_DESK = ("templates/desk/", "tipbox/desk/")
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "counted": (1, 2), "N_": None}


SAFETY = "SAFETY: as strict as here, plain, and no sentence of more than 20 words."
"""What translators read beside a message that a source's safety depends on; the build counts the words."""
ON_SAFETY = (
    r'<(\w+)[^>]*\bclass="[^"]*\bsafety\b[^"]*"[^>]*>(.*?)</\1>',
    r'<(div) data-code="(?:foreign-key|part-differs)">(.*?)</\1>',
    r'<(template) id="view-access-code">(.*?)</\1>',
)
"""Where such messages stand in the sources' templates."""
SAID_IN_CODE = ("Close this tab if somebody can see it. This page keeps nothing on this device.",)
"""Those that stand in no template."""


def safety() -> set[str]:
    """The messages that a source's safety depends on."""
    found = set(SAID_IN_CODE)
    folders = ("source", "offline", "both")
    for path in [file for folder in folders for file in (ROOT / "templates" / folder).glob("*.html")]:
        text = path.read_text(encoding="utf-8")
        for pattern in ON_SAFETY:
            for part in re.finditer(pattern, text, re.DOTALL):
                found |= set(re.findall(r"_\('([^']+)'\)", part[2]))
    return found


def template(domain: str) -> Catalog:
    """All messages of the places that pyproject.toml names: of the desk's pages, or of everything else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    mappings = [(mapping["pattern"], mapping["method"]) for mapping in settings]
    careful = safety() if domain == "tipbox" else set()
    catalogue = Catalog(domain=domain, project="tipbox", fuzzy=False)
    found = extract_from_dir(str(ROOT), mappings, keywords=KEYWORDS, directory_filter=_is_ours)
    for path, _line, message, comments, context in found:
        if path.startswith(OF_THE_DESK) is (domain == "desk"):
            marked = [*comments, SAFETY] if message in careful else comments
            catalogue.add(message, None, auto_comments=marked, context=context)
    return catalogue


def _is_ours(folder: str | Path) -> bool:
    return Path(folder).relative_to(ROOT).parts[:1] in {(), ("templates",), ("tipbox",)}


def write(catalogue: Catalog, path: Path) -> None:
    """Write a catalogue without dates, so that the same messages give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=0, no_location=True, omit_header=True, sort_output=True)


def main() -> None:
    """Write the templates, and bring each language's catalogues up to them."""
    for domain in DOMAINS:
        messages = template(domain)
        if len(sys.argv) > 1:
            write(messages, Path(sys.argv[1]) / f"{domain}.pot")
            continue
        write(messages, LOCALE / f"{domain}.pot")
        for po in LOCALE.glob(f"*/LC_MESSAGES/{domain}.po"):
            with po.open("rb") as file:
                catalogue = read_po(file, locale=po.parts[-3])
            catalogue.update(messages, no_fuzzy_matching=True)
            catalogue.obsolete.clear()
            write(catalogue, po)


if __name__ == "__main__":
    main()
