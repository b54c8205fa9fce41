"""Who imports whom in the client: formats below net, net below the workers; the page knows messages, and no keys."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "client" / "src"
BELOW: dict[str, set[str]] = {
    "desk": set(),
    "errors.ts": set(),
    "formats": {"errors.ts"},
    "messages.ts": {"errors.ts", "formats"},
    "net": {"errors.ts", "formats"},
    "worker": {"errors.ts", "formats", "messages.ts", "net"},
}
"""What each room may import besides itself. The pages stand apart, and the desk's pages share nothing with it."""
OFFLINE = {"errors.ts", "formats", "messages.ts", "page"}
"""What the offline page may import: it seals and opens in the page itself, with what the worker and the page have."""
WITHOUT_LINE = (
    "net/mailbox_client.ts",
    *("worker/files.ts", "worker/judge.ts", "worker/names.ts", "worker/recipients.ts", "worker/tip.ts"),
)
"""The same of rooms with a connection: these have none, and `test_the_offline_page_has_no_connection` sees to it."""
WITHOUT_KEYS = (
    *("errors.ts", "messages.ts", "formats/base/bytes.ts", "formats/base/days.ts", "formats/base/limits.ts"),
    *("formats/base/ids.ts", "formats/base/lookalikes.ts", "net/told.ts", "net/once.ts", "net/leaving.ts"),
    "net/beside.ts",
)
"""What the page may import: it shows and asks, and never holds a secret key, a sealed byte or a connection.

Three things it asks for itself: what everybody is told alike of the day, before its worker is there, its own later
scripts, and the neutral page when somebody leaves.
"""
PACKAGES = {
    "formats/base/hpke.ts": {"@hpke/core", "@hpke/hybridkem-x-wing"},
    "net/http.ts": {"es-toolkit/function"},
    "offline/qr_view.ts": {"uqr"},
    "worker/photo.ts": {"exifreader"},
}
"""What comes from outside, and the one module that may import it."""
NETWORK = {
    "fetch(": r"(?<!#)\bfetch\(",  # and not a method that a class keeps to itself
    **{name: rf"\b{name}\b" for name in ("XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon")},
}
BORDERS = (
    *(("formats/manifest.ts", target) for target in ("net/http.ts", "worker/judge.ts", "page/texts.ts", "messages.ts")),
    ("errors.ts", "formats/manifest.ts"),
    ("messages.ts", "net/http.ts"),
    ("messages.ts", "page/texts.ts"),
    *(("net/upload.ts", target) for target in ("worker/send.ts", "page/texts.ts", "messages.ts")),
    ("worker/send.ts", "page/texts.ts"),
    *(
        ("page/form.ts", target)
        for target in ("worker/judge.ts", "net/http.ts", "formats/manifest.ts", "formats/base/primitives.ts")
    ),
    *(("desk/desk.ts", target) for target in ("net/http.ts", "page/texts.ts", "formats/manifest.ts", "errors.ts")),
    ("page/form.ts", "desk/keys.ts"),
    ("page/form.ts", "offline/sealing.ts"),
    ("offline/offline.ts", "net/http.ts"),
    ("offline/offline.ts", "worker/send.ts"),
    ("page/form.ts", "@hpke/core"),
    ("worker/send.ts", "exifreader"),
)
"""Importer and imported: one import across each border."""
FORMS = ('import {{ x }} from "{0}";', 'import type {{ X }} from "{0}";', 'import("{0}");', "export * from '{0}';")


def room(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


def imports(source: str) -> set[str]:
    """Every module that a source names, types included: any relative path in quotes, and packages after `import`."""
    paths = re.findall(r"""["'`](\.\.?/[^"'`]+)["'`]""", source)
    packages = re.findall(
        r"""(?:^import\s*|^(?:import|export)\b[\w\s{},*$]*\bfrom\s*|\bimport\(\s*)["'`]([^"'`]+)["'`]""",
        source,
        re.MULTILINE,
    )
    return {*paths, *packages}


def may_import(importer: str, imported: str) -> bool:
    if imported == importer or not imported.endswith(".ts"):
        return imported in PACKAGES.get(importer, ())
    if room(importer) == "offline":
        return room(imported) in {"offline", *OFFLINE} or imported in WITHOUT_LINE
    if room(importer) == "page":
        return room(imported) == "page" or imported in WITHOUT_KEYS
    return room(imported) in {room(importer), *BELOW[room(importer)]}


def sources() -> dict[str, str]:
    return {path.relative_to(SRC).as_posix(): path.read_text(encoding="utf-8") for path in SRC.rglob("*.ts")}


def crossings(client: dict[str, str]) -> list[str]:
    """Each import that crosses a border, and each use of the network outside `net`, in sources by their paths."""
    found = []
    for importer, source in client.items():
        for name in sorted(imports(source)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(importer), name))
            imported = path.removesuffix(".js") + ".ts" if name.startswith(".") else name
            if not may_import(importer, imported):
                found.append(f"{importer} imports {imported}")
        found += [
            f"{importer} uses {word}" for word in NETWORK if re.search(NETWORK[word], source) and not asks(importer)
        ]
    return found


def asks(importer: str) -> bool:
    """Whether a module may use the network: those of ``net``, and of the desk the one that asks its own process."""
    return room(importer) == "net" or importer == "desk/line.ts"


def relative(importer: str, imported: str) -> str:
    up = "../" * importer.count("/") or "./"
    return up + imported.removesuffix(".ts") + ".js" if imported.endswith(".ts") else imported


def test_no_import_of_the_client_crosses_a_border() -> None:
    assert {room(path) for path in sources()} == {*BELOW, "page", "offline"}
    assert crossings(sources()) == []


def test_the_page_brings_in_no_later_script_but_its_own_screens() -> None:
    """No import shows what comes by name: one of the worker's would bring what holds keys into the page."""
    later = {path: re.findall(r"\bimportBeside\(([^)]*)\)", source) for path, source in sources().items()}
    assert {path: names for path, names in later.items() if names} == {
        "net/beside.ts": ["name: string"],
        "page/opening.ts": ['"opened.js"'],
        "worker/late.ts": ["name"],
    }


def reached(client: dict[str, str], start: str) -> set[str]:
    """Every module of the client that is imported from one, or from what it imports."""
    found, left = set(), [start]
    while left:
        importer = left.pop()
        if importer in found or importer not in client:
            continue
        found.add(importer)
        for name in imports(client[importer]):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(importer), name))
            left.append(path.removesuffix(".js") + ".ts")
    return found


def test_the_offline_page_has_no_connection() -> None:
    client = sources()
    modules = reached(client, "offline/offline.ts")
    assert {"offline/sealing.ts", "formats/envelopes/pieces.ts", "net/mailbox_client.ts"} <= modules
    assert [name for name in sorted(modules) if any(re.search(word, client[name]) for word in NETWORK.values())] == []
    assert any(
        re.search(word, client[name]) for name in reached(client, "worker/worker.ts") for word in NETWORK.values()
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("importer", "imported"), BORDERS)
def test_an_import_across_any_border_is_found(importer: str, imported: str, form: str) -> None:
    client = sources()
    assert imported in client or not imported.endswith(".ts")
    client[importer] += "\n" + form.format(relative(importer, imported)) + "\n"
    assert crossings(client) == [f"{importer} imports {imported}"]


@pytest.mark.parametrize("word", NETWORK)
@pytest.mark.parametrize(
    "importer", ["formats/manifest.ts", "worker/send.ts", "page/page.ts", "messages.ts", "desk/desk.ts"]
)
def test_a_connection_outside_net_is_found(importer: str, word: str) -> None:
    client = sources()
    client[importer] += f"\nvoid {word};\n"
    assert crossings(client) == [f"{importer} uses {word}"]
