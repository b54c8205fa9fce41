"""``tipbox verify`` against a running line: the same, and each kind of lie with its exit code and its own sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from release.lying import Liar, Reply, lying
from release.made import Maker, wheel_of_checkout
from support.commands import Run
from support.loopback import free_port
from support.sealed import Organisation, keys_folder, three
from support.server import running
from tipbox import __version__
from tipbox.formats.base import days
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.verify import visiting
from tipbox.verify.looking import look
from tipbox.verify.rendering import Expected, expect
from tipbox.verify.visiting import Visitor

MANY = {"limits_pages": "1000000", "limits_static": "1000000"}
LONG = date(2100, 1, 1)


def entry(one: Organisation) -> SiteEntry:
    return SiteEntry.of(one.manifest()).signed_by(one.identity)


@dataclass
class Line:
    """A running server behind somebody who may lie, and a release of what it runs."""

    liar: Liar
    maker: Maker
    release: Path
    signers: Path
    site: Path
    organisations: list[Organisation]
    expected: Expected

    def found(self, change: Callable[[Reply], None] = lambda _: None, **more: Any) -> dict[str, str]:
        """What differs under a lie: sentences, each with its kind."""
        self.liar.change = change
        listed = SiteList.parse(self.site.read_bytes())
        given: Any = {"expected": self.expected, "listed": listed, "today": days.today()} | more
        try:
            result = look(Visitor(self.liar.url, None, lambda _: 0.01), **given)
        finally:
            self.liar.change = lambda _: None
        return {one.text: one.kind for one in result.differences}

    def options(self) -> list[object]:
        return ["--release", self.release, "--signers", self.signers]


@pytest.fixture(name="line", scope="module")
def _line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    organisations = three()
    home, keys = folder / "home", keys_folder(folder / "keys", organisations)
    home.mkdir(mode=0o700)
    site = home / "site.json"
    site.write_bytes(SiteList.of("ru", map(entry, organisations)).encode())
    maker = Maker(folder / "maintainers")
    wheel = folder / "wheel"
    wheel_of_checkout(wheel)
    name = f"tipbox-{__version__}-py3-none-any.whl"
    changes = {"release": __version__, "floor": __version__, "expires": LONG}
    maker.release(folder / "release", {name: wheel.read_bytes()}, **changes)
    signers = maker.write_signers(folder / "signers.json")
    expected = expect(folder / "release" / name, site.read_bytes())
    with running(home, keys, settings=MANY) as server, lying(server.address) as liar:
        yield Line(liar, maker, folder / "release", signers, site, organisations, expected)


# --- the look --------------------------------------------------------------------------------------------------------


def test_an_honest_line_is_the_same(line: Line) -> None:
    line.liar.asked.clear()
    assert line.found(everything("/api/now", 200, b"[]")) == {"/api/now: this is no answer with keys": "keys"}
    asked = set(line.liar.asked)
    assert set(line.expected.paths) <= asked
    assert {"/", "/send", "/ru", "/error.html", "/api/now"} <= asked
    assert len(asked - set(line.expected.bodies)) >= 3 + 3 + 6


def one_byte(path: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.path == path:
            reply.body = reply.body[:-2] + bytes([reply.body[-2] ^ 1]) + reply.body[-1:]

    return change


KINDS = (
    *("/ru/", "/kk/send", "/ar/inbox", "/static/page.js", "/static/start.js", "/static/worker.js", "/static/style.css"),
    *("/static/words-ru.txt", "/leave", "/blank"),
    *("/.well-known/tipbox/site.json", "/.well-known/tipbox/files.json", "/.well-known/tipbox/served.json"),
)


def test_one_byte_in_each_kind_of_file_is_found_and_its_line_is_shown(line: Line) -> None:
    def change(reply: Reply) -> None:
        if reply.path in KINDS:
            one_byte(reply.path)(reply)

    found = line.found(change)
    for path in KINDS:
        assert any(text.startswith(f"{path}: the bytes differ; line ") and " should be " in text for text in found), (
            path
        )
    assert {text.partition(":")[0] for text in found} == set(KINDS)


def header(name: str, value: str | None, path: str = "/en/") -> Callable[[Reply], None]:
    return lambda reply: reply.set(name, value) if reply.path == path else None


def everything(path: str, status: int, body: bytes, **headers: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.path == path:
            reply.status, reply.body = status, body
            for name, value in headers.items():
                reply.set(name.replace("_", "-"), value)

    return change


def other_language(reply: Reply) -> None:
    """Whoever asks for Kazakh reads Russian."""
    if reply.path == "/kk/":
        reply.body = PAGES["/ru/"]


def error_page(reply: Reply) -> None:
    if reply.status == 404:
        reply.body += b"<!-- x -->"


def older(reply: Reply) -> None:
    if reply.path.endswith("files.json"):
        reply.body = reply.body.replace(f'"release": "{__version__}"'.encode(), b'"release": "0.0.1"')


def stale(reply: Reply) -> None:
    """The list of before: without a path that is served, and with one that is not."""
    if reply.path.endswith("files.json"):
        reply.body = reply.body.replace(b'"/static/page.js"', b'"/static/old.js"')


def nobody_made(reply: Reply) -> None:
    """Something is there wherever nothing should be."""
    if reply.status == 404 and reply.path.endswith(".js"):
        reply.status, reply.body = 200, b"alert(1)"


PAGES: dict[str, bytes] = {}

LIES: dict[str, tuple[Callable[[Reply], None], str, str]] = {
    "a policy": (header("Content-Security-Policy", "default-src *"), "header", "Policy is not the listed one"),
    "a header less": (header("X-Frame-Options", None), "header", "X-Frame-Options is not the listed one"),
    "a cookie": (header("Set-Cookie", "a=b"), "header", "a header set-cookie, which nobody listed"),
    "a link": (header("Link", "</x.js>; rel=preload"), "header", "a header link"),
    "another type": (header("Content-Type", "text/plain", "/static/page.js"), "header", "Content-Type is not"),
    "a header of errors": (header("X-A", "b", "/error.html"), "header", "/error.html: a header x-a"),
    "one language": (other_language, "bytes", "/kk/: the bytes differ; line 2 should be"),
    "a redirect to elsewhere": (header("Location", "http://evil.example/", "/"), "redirect", "leads to http://evil."),
    "a redirect of a page": (everything("/fr/send", 302, b"", Location="//evil.example/"), "redirect", "elsewhere"),
    "a redirect with words": (everything("/send", 303, b"x"), "redirect", "/send: it should lead to /ru/send"),
    "a page that is not there": (everything("/fr/", 404, b""), "missing", "/fr/: the answer is 404 and not the file"),
    "an error page": (error_page, "error-page", "the page of errors differs"),
    "a path that nobody made": (nobody_made, "not-listed", "nobody made this path, and the answer is 200, not 404"),
    "a stale list": (stale, "not-listed", "files.json: it lists /static/old.js, which nobody made"),
    "an older version": (older, "older", f"the server runs 0.0.1, older than the release {__version__}"),
}  # fmt: skip


def says(found: dict[str, str], kind: str, sentence: str) -> bool:
    return any(sentence in text and other == kind for text, other in found.items())


def test_each_lie_is_found_with_its_own_sentence(line: Line) -> None:
    """Told at once: each concerns another path, or another header."""
    PAGES.update(line.expected.bodies)

    def change(reply: Reply) -> None:
        for lie, _, _ in LIES.values():
            lie(reply)

    found = line.found(change)
    for what, (_, kind, sentence) in LIES.items():
        assert says(found, kind, sentence), (what, found)
    assert not any(text.startswith(("/es/", "/static/style.css")) for text in found), "the control: these are the same"


def swapped(line: Line) -> Callable[[Reply], None]:
    """A manifest of a key that the server made itself."""
    foreign = Organisation(line.organisations[0].name).manifest().encode().decode()

    def swap(reply: Reply) -> None:
        if reply.path == "/api/now":
            value = json.loads(reply.body)
            value["manifests"][0] = foreign
            value["manifests"][1] = value["manifests"][1].replace("\n", " \n", 1)
            reply.body = json.dumps(value).encode()

    return swap


def test_manifests_are_held_against_the_site_list_and_the_day(line: Line) -> None:
    found = line.found(swapped(line), today=days.today() + timedelta(365))
    assert says(found, "keys", "of another identity key than the site list's")
    assert says(found, "keys", "a manifest is not good: JSON is not in canonical form")
    assert says(found, "keys", "expired on")


def test_a_site_list_with_a_key_of_the_server_s_own_makes_other_pages(line: Line) -> None:
    """Who has a copy of the site list sees it in the pages; who has none compares the digits."""
    own = [entry(Organisation(line.organisations[0].name)), *map(entry, line.organisations[1:])]
    expected = expect(line.release / f"tipbox-{__version__}-py3-none-any.whl", SiteList.of("ru", own).encode())
    found = line.found(expected=expected)
    for path in ("/ar/", "/kk/send", "/.well-known/tipbox/site.json"):
        assert says(found, "bytes", f"{path}: the bytes differ")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_same_or_what_differs(line: Line, run: Run) -> None:
    done = run("verify", line.liar.url, *line.options(), "--json")
    assert (done.code, done.json["same"], done.json["differences"]) == (0, True, []), done
    assert done.json["signed_by"] == ["aigul", "boris"]
    assert [one["signed"] for one in done.json["organisations"]] == [True] * 3
    assert "read aloud" in done.err
    line.liar.change = one_byte("/static/page.js")
    done = run("verify", line.liar.url, *line.options(), "--site", line.site)
    line.liar.change = lambda _: None
    assert done.code == 3
    assert "DIFFERS  /static/page.js: the bytes differ; line" in done.out
    assert "verifying: 1 thing differs; the first: /static/page.js" in done.err


def test_a_line_that_is_not_there_is_not_reached(line: Line, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "_grow", lambda _: 0.01)
    done = run("verify", f"http://127.0.0.1:{free_port()}", *line.options(), "--json")
    assert (done.code, done.error) == (6, "network")
    abroad = run("verify", "http://example.org", *line.options())
    assert (abroad.code, "add --socks" in abroad.err) == (2, True)


@pytest.mark.parametrize(
    ("what", "refused"),
    [
        ("one of two signatures", ("not-signed", "1 of the 2 signatures that it needs are good")),
        ("expired", ("release-expired", "expired after 2020-01-01")),
        ("changed", ("release-changed", "sbom.cdx.json is not what was signed")),
        ("downgraded", ("release-older", f"{__version__} is older than 99.0.0")),
    ],
)
def test_a_release_that_is_not_to_be_trusted_ends_with_four(
    line: Line, run: Run, tmp_path: Path, what: str, refused: tuple[str, str]
) -> None:
    code, sentence = refused
    folder, options = tmp_path / "release", []
    changes: dict[str, Any] = {"release": __version__, "floor": __version__, "expires": LONG}
    if what == "expired":
        changes["expires"] = date(2020, 1, 1)
    line.maker.release(folder, {}, *(["aigul"] if what.startswith("one") else []), **changes)
    if what == "changed":
        (folder / "sbom.cdx.json").write_bytes(b"[]")
    if what == "downgraded":
        options = ["--not-older", "99.0.0"]
    done = run("verify", line.liar.url, "--release", folder, "--signers", line.signers, *options, "--json")
    assert (done.code, done.error) == (4, code)
    assert sentence in json.loads(done.err)["message"]
    assert run("verify", "--release", folder, "--signers", line.signers).code == 2
