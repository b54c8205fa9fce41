"""``tipbox verify`` against a running line: the same, and each kind of lie with its exit code and its own sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from release.lying import Liar, Reply, lying
from release.made import Maker, wheel_of_checkout
from support.commands import Done, Run
from support.loopback import free_port
from support.sealed import Organisation, keys_folder, three
from support.server import running
from tipbox import __version__
from tipbox.formats.base import canonical, days
from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.release.served_list import ServedList
from tipbox.verify import looking, rendering, visiting
from tipbox.verify.looking import look
from tipbox.verify.neighbours import neighbours
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


def twice(name: str, value: str | None = None) -> Callable[[Reply], None]:
    """A header that comes once more, with another value or the same."""

    def change(reply: Reply) -> None:
        if reply.path == "/en/":
            (same,) = (one for key, one in reply.headers if key == name)
            reply.headers.append((name, same if value is None else value))

    return change


def everything(path: str, status: int, body: bytes, **headers: str) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.path == path:
            reply.status, reply.body = status, body
            for name, value in headers.items():
                reply.set(name.replace("_", "-"), value)

    return change


def status(path: str, status: int) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        if reply.path == path:
            reply.status = status

    return change


def other_language(reply: Reply) -> None:
    """Whoever asks for Kazakh reads Russian."""
    if reply.path == "/kk/":
        reply.body = PAGES["/ru/"]


def truncated(reply: Reply) -> None:
    if reply.path == "/static/page.js":
        reply.body = reply.body[:-100]


def error_page(reply: Reply) -> None:
    if reply.status == 404:
        reply.body += b"<!-- x -->"


def errors_are_good(reply: Reply) -> None:
    if reply.path == "/error.html":
        reply.status = 200


def older(reply: Reply) -> None:
    if reply.path.endswith("files.json"):
        reply.body = reply.body.replace(f'"release": "{__version__}"'.encode(), b'"release": "0.0.1"')


def stale(reply: Reply) -> None:
    """The list of before: without a path that is served, and with one that is not."""
    if reply.path.endswith("files.json"):
        reply.body = reply.body.replace(b'"/static/page.js"', b'"/static/old.js"')


def served(change: Callable[[dict[str, bytes], dict[str, str]], object]) -> Callable[[Reply], None]:
    """Another ``served.json``, whose spellings agree."""

    def lie(reply: Reply) -> None:
        if reply.path.endswith("served.json"):
            made = ServedList.parse(reply.body)
            hashes, types = dict(made.hashes), dict(made.types)
            change(hashes, types)
            reply.body = ServedList(made.release, made.policy, hashes, types).encode()

    return lie


def one_less(hashes: dict[str, bytes], types: dict[str, str]) -> None:
    del hashes["/kk/"], types["/kk/"]


def one_more(hashes: dict[str, bytes], types: dict[str, str]) -> None:
    hashes["/static/more.js"], types["/static/more.js"] = bytes(32), "text/javascript; charset=utf-8"


def nobody_made(reply: Reply) -> None:
    """Something is there wherever nothing should be."""
    if reply.status == 404 and reply.path.endswith(".js"):
        reply.status, reply.body = 200, b"alert(1)"


PAGES: dict[str, bytes] = {}
EVIL = {"Content_Type": "text/javascript"}

LIES: dict[str, tuple[Callable[[Reply], None], str, str]] = {
    "a policy": (header("Content-Security-Policy", "default-src *"), "header", "Policy is not the listed one"),
    "two policies": (twice("Content-Security-Policy", "default-src *"), "header", "Policy is not the listed one"),
    "a header twice": (twice("X-Frame-Options"), "header", "X-Frame-Options is not the listed one"),
    "a header less": (header("X-Frame-Options", None), "header", "X-Frame-Options is not the listed one"),
    "a cookie": (header("Set-Cookie", "a=b"), "header", "a header set-cookie, which nobody listed"),
    "a cookie where a path leads": (header("Set-Cookie", "a=b", "/"), "header", "/: a header set-cookie"),
    "a link": (header("Link", "</x.js>; rel=preload"), "header", "a header link"),
    "another type": (header("Content-Type", "text/plain", "/static/page.js"), "header", "Content-Type is not"),
    "another alphabet": (
        header("Content-Type", "text/html; charset=utf-7"), "header", "/en/: Content-Type is not text/html; charset"
    ),
    "a header of errors": (header("X-A", "b", "/error.html"), "header", "/error.html: a header x-a"),
    "one language": (other_language, "bytes", "/kk/: the bytes differ; line 2 should be"),
    "a body that is shorter": (truncated, "bytes", "/static/page.js: the bytes differ; line"),
    "a redirect to elsewhere": (header("Location", "http://evil.example/", "/"), "redirect", "leads to http://evil."),
    "a redirect of a page": (everything("/fr/send", 302, b"", Location="//evil.example/"), "redirect", "elsewhere"),
    "a redirect with words": (everything("/send", 303, b"x"), "redirect", "/send: it should lead to /ru/send"),
    "a redirect of a slash": (
        everything("/en/send/", 308, b"", Location="/en/send"), "redirect", "/en/send/: it leads elsewhere, to /en/send"
    ),
    "a page that is not there": (everything("/fr/", 404, b""), "missing", "/fr/: the answer is 404 and not the file"),
    "another status": (status("/fr/", 203), "missing", "/fr/: the answer is 203 and not the file"),
    "an error page": (error_page, "error-page", "the page of errors differs"),
    "errors that are none": (errors_are_good, "not-listed", "nobody made this path, and the answer is 200, not 404"),
    "another status of errors": (status("/error.html", 410), "not-listed", "the answer is 410, not 404"),
    "a path that nobody made": (nobody_made, "not-listed", "nobody made this path, and the answer is 200, not 404"),
    "a worker for all pages": (everything("/sw.js", 200, b"x", **EVIL), "not-listed", "/sw.js: nobody made this path"),
    "a file of before": (
        everything("/static/sealer.js", 200, b"x", **EVIL), "not-listed", "/static/sealer.js: nobody made this path"
    ),
    "a page in one more language": (everything("/de/send", 200, b"x"), "not-listed", "/de/send: nobody made this path"),
    "a source map": (everything("/static/page.js.map", 200, b"{}"), "not-listed", "/static/page.js.map: nobody made"),
    "a page in WEBCAT's folder": (
        everything("/.well-known/webcat/bundle.json", 200, b"x"), "not-listed", "bundle.json: nobody made this path"
    ),
    "a stale list": (stale, "not-listed", "files.json: it lists /static/old.js, which nobody made"),
    "a stale list leaves out": (stale, "list", "files.json: it does not list /static/page.js"),
    "a list with one less": (served(one_less), "list", "served.json: it does not list /kk/"),
    "a list with one more": (served(one_more), "not-listed", "served.json: it lists /static/more.js, which nobody"),
    "a list that is none": (everything("/.well-known/tipbox/served.json", 200, b"{}"), "list", "this is no list"),
    "an older version": (older, "older", f"the server runs 0.0.1, older than the release {__version__}"),
    "keys that are none": (everything("/api/now", 200, b"[]"), "keys", "/api/now: this is no answer with keys"),
}  # fmt: skip
"""What is told, of which kind it is, and the sentence."""


def says(found: dict[str, str], kind: str, sentence: str) -> bool:
    return any(sentence in text and other == kind for text, other in found.items())


def keys(change: Callable[[list[str]], object]) -> Callable[[Reply], None]:
    """Other manifests in force than there are."""

    def lie(reply: Reply) -> None:
        if reply.path == "/api/now":
            value = json.loads(reply.body)
            change(value["manifests"])
            reply.body = json.dumps(value).encode()

    return lie


def put(manifest: Manifest | bytes, at: int = 0) -> Callable[[Reply], None]:
    data = manifest if isinstance(manifest, bytes) else manifest.encode()
    return keys(lambda given: given.__setitem__(at, data.decode()))


def forged(organisation: Organisation) -> bytes:
    """With the identity key that it should have, and somebody else's signature."""
    value = json.loads(organisation.manifest().encode())
    value["signature"] = json.loads(Organisation(organisation.name).manifest().encode())["signature"]
    return canonical.encode(value, file_form=True)


def of_before(organisation: Organisation) -> Manifest:
    """A good one, whose days are over."""
    return organisation.manifest(start=days.today() - timedelta(days=60))


KEYS: dict[str, tuple[Callable[[Organisation], Callable[[Reply], None]], str]] = {
    "another identity key": (
        lambda one: put(Organisation(one.name).manifest()), "/api/now: the manifest of "
    ),
    "somebody else's signature": (lambda one: put(forged(one)), "/api/now: a manifest is not good: "),
    "days that are over": (lambda one: put(of_before(one)), "expired on"),
    "another spelling": (
        lambda one: put(one.manifest().encode().replace(b"\n", b" \n", 1)), "JSON is not in canonical form"
    ),
    "a file with another identity key": (
        lambda one: everything(f"/keys/{one.name}.json", 200, Organisation(one.name).manifest().encode()),
        "is of another identity key than the site list's",
    ),
}  # fmt: skip


def test_a_site_list_with_a_key_of_the_server_s_own_makes_other_pages(line: Line) -> None:
    """Who has a copy of the site list sees it in the pages; who has none compares the digits."""
    own = [entry(Organisation(line.organisations[0].name)), *map(entry, line.organisations[1:])]
    expected = expect(line.release / f"tipbox-{__version__}-py3-none-any.whl", SiteList.of("ru", own).encode())
    found = line.found(expected=expected)
    for path in ("/ar/", "/kk/send", "/.well-known/tipbox/site.json"):
        assert says(found, "bytes", f"{path}: the bytes differ")


def test_neighbours_are_none_of_what_is_listed_and_of_each_kind(line: Line) -> None:
    beside = neighbours(line.expected)
    assert not {*beside} & {*line.expected.bodies}
    kinds = ("/sw.js", "/static/page.js.map", "/static/sealer.js", "/de/inbox", "/ru/send/", "/ru/index.html")
    assert {*kinds} <= {*beside}
    assert len(beside) < 120, "each costs a circuit"


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_same_or_what_differs(line: Line, run: Run) -> None:
    done = run("verify", line.liar.url, *line.options(), "--json")
    assert (done.code, done.json["same"], done.json["differences"]) == (0, True, []), done
    assert done.json["signed_by"] == ["aigul", "boris"]
    assert done.json["release_digest"] == sha256((line.release / "release.json").read_bytes()).hexdigest()
    assert [one["signed"] for one in done.json["organisations"]] == [True] * 3
    assert "read aloud" in done.err
    line.liar.change = one_byte("/static/page.js")
    done = run("verify", line.liar.url, *line.options(), "--site", line.site)
    line.liar.change = lambda _: None
    assert done.code == 3
    assert "DIFFERS  /static/page.js: the bytes differ; line" in done.out
    assert "verifying: 1 thing differs; the first: /static/page.js" in done.err


FEW = (
    *("/en/", "/en/send", "/fr/", "/fr/send", "/kk/", "/ru/", "/static/page.js", "/error.html"),
    *(f"/.well-known/tipbox/{name}.json" for name in ("files", "served", "site")),
)
FEW_BESIDE = {"/sw.js", "/static/sealer.js", "/static/page.js.map", "/de/send", "/en/send/"}


@pytest.fixture(name="few")
def _few(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at what some lie is about, made once: there are many of them."""
    expected = replace(line.expected, bodies={path: line.expected.bodies[path] for path in FEW})
    monkeypatch.setattr(rendering, "expect", lambda *_: expected)
    beside = sorted(FEW_BESIDE & {*neighbours(line.expected)})
    monkeypatch.setattr(looking, "neighbours", lambda _: beside)
    monkeypatch.setattr(visiting, "_grow", lambda _: 0.01)
    PAGES.update(line.expected.bodies)


def told(line: Line, run: Run, change: Callable[[Reply], None]) -> Done:
    """What the command says of one lie alone."""
    line.liar.change = change
    try:
        return run("verify", line.liar.url, *line.options(), "--site", line.site, "--json")
    finally:
        line.liar.change = lambda _: None


@pytest.mark.parametrize("what", [*LIES, *KEYS])
@pytest.mark.usefixtures("few")
def test_each_lie_ends_with_three_and_its_own_sentence(line: Line, run: Run, what: str) -> None:
    if what in LIES:
        change, kind, sentence = LIES[what]
    else:
        make, sentence = KEYS[what]
        change, kind = make(line.organisations[0]), "keys"
    done = told(line, run, change)
    assert (done.code, done.error) == (3, "differs"), done
    assert any(one["kind"] == kind and sentence in one["text"] for one in done.json["differences"]), done.out
    assert json.loads(done.err)["message"].startswith("verifying: "), done.err


EVIL_PAGE = b"<!doctype html><script src=/x.js></script>"


def broken_off(reply: Reply) -> None:
    """Firefox shows what came of a page that was said to be longer."""
    reply.body, reply.missing = EVIL_PAGE + bytes(100), 100


def broken_off_keys(reply: Reply) -> None:
    reply.body, reply.missing = json.dumps({"manifests": ["{}"], "former": []}).encode() + bytes(9), 9


def when_busy(reply: Reply) -> None:
    reply.status, reply.body = 503, EVIL_PAGE


def cookie_when_busy(reply: Reply) -> None:
    reply.status, reply.body = 503, PAGES["/error.html"]
    reply.set("Set-Cookie", "a=b")


def raw(data: bytes) -> Callable[[Reply], None]:
    return lambda reply: setattr(reply, "raw", data)


def packed(made: Callable[[bytes], bytes]) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        reply.body = made(reply.body)
        reply.set("Content-Encoding", "gzip")

    return change


def keys_of(body: bytes) -> Callable[[Reply], None]:
    return lambda reply: setattr(reply, "body", body)


ONCE: tuple[dict[str, tuple[Callable[[Reply], None], str, str]], ...] = (
    {
        "/en/": (broken_off, "bytes", "/en/: the bytes differ; line 1"),
        "/en/send": (when_busy, "error-page", "the answer is 503, with another page than that of errors"),
        "/fr/": (cookie_when_busy, "header", "a header set-cookie"),
        "/fr/send": (
            # Browsers look for the head behind what they do not know.
            raw(b"hello\nHTTP/1.1 200 OK\nContent-Type: text/html\n\n" + EVIL_PAGE),
            "broken",
            "what comes back is no answer of HTTP",
        ),
        "/kk/": (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
            "broken",
            "no answer of",
        ),
        "/ru/": (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<b>hi\r\nx\r\n"),
            "bytes",
            "the bytes diff",
        ),
        "/static/page.js": (
            lambda reply: reply.set("Content-Encoding", "br"),
            "header",
            "packed otherwise than with gzip",
        ),
        "/api/now": (broken_off_keys, "keys", "a manifest is not good"),
    },
    {
        "/en/": (packed(lambda _: gzip.compress(bytes(visiting.MAX_BODY + 1))), "bytes", "the bytes differ"),
        "/en/send": (packed(lambda body: gzip.compress(body) + b"x"), "bytes", "the bytes differ"),
        "/fr/": (packed(lambda body: gzip.compress(body)[:-9]), "bytes", "the bytes differ"),
        "/fr/send": (packed(lambda body: body), "bytes", "the bytes differ"),
        "/kk/": (
            raw(b"HTTP/1.1 200 OK\r\nSet-Cookie : a=b\r\nContent-Length: 0\r\n\r\n"),
            "broken",
            "no answer of HTTP",
        ),
        "/ru/": (raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + EVIL_PAGE), "bytes", "the bytes differ"),
        "/static/page.js": (
            lambda reply: setattr(reply, "body", bytes(visiting.MAX_BODY + 1)),
            "bytes",
            "the bytes diff",
        ),
        "/api/now": (keys_of(b"[" * 200_000), "keys", "this is no answer with keys"),
    },
    {
        "/api/now": (keys_of('{"manifests":[],"former":[]}'.encode("utf-16")), "keys", "this is no answer with keys"),
        "/.well-known/tipbox/files.json": (keys_of(b'{"files":' * 50_000), "list", "this is no list that can be read"),
    },
)
"""What is told to the first who asks for a path; who asks again is told the truth. By path: the lie, kind, sentence."""


@pytest.mark.parametrize("lies", ONCE, ids=["broken", "packed and long", "nested"])
@pytest.mark.usefixtures("few")
def test_a_lie_is_found_that_is_broken_off_or_no_answer_and_never_told_again(
    line: Line, run: Run, lies: dict[str, tuple[Callable[[Reply], None], str, str]]
) -> None:
    """A browser shows much of what this program takes for a cut line; asking again must not make it forgotten."""
    left = dict(lies)

    def lie(reply: Reply) -> None:
        if reply.path in left:
            left.pop(reply.path)[0](reply)

    done = told(line, run, lie)
    assert (done.code, done.error, done.json["unreached"]) == (3, "differs", []), done
    found = {(one["path"], one["kind"]): one["text"] for one in done.json["differences"]}
    for path, (_, kind, sentence) in lies.items():
        assert f"{path}: " in found[path, kind], path
        assert sentence in found[path, kind], path


@pytest.mark.usefixtures("few")
def test_what_is_not_reached_is_no_excuse_for_what_differs(line: Line, run: Run) -> None:
    """Else whoever swaps a page would cut another one off."""

    def lie(reply: Reply) -> None:
        one_byte("/en/")(reply)
        reply.missing = 100 * (reply.path == "/static/page.js")

    done = told(line, run, lie)
    assert (done.code, [one["path"] for one in done.json["differences"]]) == (3, ["/en/"])
    assert ["/static/page.js" in one for one in done.json["unreached"]] == [True]


@pytest.mark.usefixtures("few")
def test_a_server_that_is_busy_with_its_page_of_errors_is_not_reached(line: Line, run: Run) -> None:
    error = line.expected.error

    def busy(reply: Reply) -> None:
        if reply.path == "/en/":
            reply.status, reply.body = 503, error

    done = told(line, run, busy)
    assert (done.code, done.error, "for /en/ it answers 503" in done.err) == (6, "network", True), done


@pytest.mark.usefixtures("few")
def test_who_stands_before_a_line_under_another_address_is_named(line: Line) -> None:
    visitor = Visitor(line.liar.url, None)
    visitor.spoken = f"http://{'a' * 56}.onion"
    one = line.organisations[0]
    vouching = replace(entry(one), onions=(f"{'b' * 56}.onion",)).signed_by(one.identity)
    expected = replace(line.expected, bodies={path: line.expected.bodies[path] for path in FEW})
    result = look(visitor, expected, SiteList.of("ru", [vouching, *map(entry, line.organisations[1:])]), days.today())
    assert [(found.kind, found.path) for found in result.differences] == [("address", f"{'a' * 56}.onion")]


@pytest.mark.usefixtures("few")
def test_an_answer_that_is_cut_off_each_time_is_none(line: Line, run: Run) -> None:
    """Whoever cuts every answer for one path keeps it from being compared: that is not "the same"."""

    def cut(reply: Reply) -> None:
        reply.missing = 100 * (reply.path == "/static/page.js")

    done = told(line, run, cut)
    assert (done.code, done.error, "no whole answer for /static/page.js" in done.err) == (6, "network", True)
    done = told(line, run, lambda _: None)
    assert (done.code, done.json["differences"]) == (0, [])


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
