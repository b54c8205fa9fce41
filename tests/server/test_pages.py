"""Pages, headers of every answer, and who is not answered: other sites, and connections without a circuit."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from support.client import Answer, Client, bearer
from support.loopback import until
from support.sealed import Box, Organisation, envelope, inward, keys_folder, three
from support.server import Here, Server, running, start
from tipbox.formats.base import days
from tipbox.formats.mailbox_list import encode_delete
from tipbox.formats.wordlists import PINS
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt
from tipbox.server.web.app import create_app
from tipbox.server.web.headers import HEADERS

PATHS = [
    "/",
    "/en/",
    "/send",
    "/en/send",
    "/inbox",
    "/en/inbox",
    "/leave",
    "/blank",
    "/static/page.js",
    "/keys/fidh.json",
    "/nothing",
    "/api/x",
]


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="server", scope="module")
def _server(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    server = start(folder / "home", keys_folder(folder / "keys", organisations), unix=True)
    yield server
    server.kill()


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/en/"])
def test_the_start_page(client: Client, path: str) -> None:
    answer = client.request("GET", path)

    page = answer.body.decode()
    assert answer.status == 200
    assert '<html lang="en" dir="ltr">' in page
    assert "The fidh organisation" in page
    assert "Kazakhstan" in page
    assert f'href="{path}send"' in page
    assert f'href="{path}inbox"' in page


@pytest.mark.parametrize("path", ["/send", "/inbox"])
def test_form_and_mailbox_carry_the_manifests_as_they_came(client: Client, server: Server, path: str) -> None:
    page = client.request("GET", path).body.decode()

    found = re.search(r"data-manifests='([^']*)'", page)
    assert found
    manifests = [one.encode() for one in json.loads(html.unescape(found[1]))]
    assert sorted(manifests) == sorted(path.read_bytes() for path in server.keys.glob("*.json"))


def attribute(page: bytes, name: str) -> list[str]:
    """A list in an attribute of a page."""
    found = re.search(f"data-{name}='([^']*)'", page.decode())
    assert found
    listed = json.loads(html.unescape(found[1]))
    assert isinstance(listed, list)
    return listed


def test_the_mailbox_page_names_all_whose_mailboxes_to_ask_for(
    client: Client, organisations: list[Organisation]
) -> None:
    """In both languages and for every visitor; the form needs none of it."""
    page = client.request("GET", "/inbox").body

    assert attribute(page, "organisations") == sorted(one.id.hex() for one in organisations)
    assert b"data-organisations" not in client.request("GET", "/send").body


def test_a_former_organisation_is_named_while_it_has_replies_here(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys have expired, so nobody can seal to it; who has answers of it can still read them."""
    monkeypatch.setattr("tipbox.server.bundles.collected.LOOK_AGAIN", 0)
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    former, box = organisations[0], Box()
    reply = box.reply()
    outward = former.read(write_volumes(server.home, former.name, tmp_path / "out")[0])
    import_bundles(server.home, [inward(tmp_path / "in", former, outward, [box.item(reply)])])
    with open_server(server.home) as opened:
        expired = former.manifest(start=days.today() - timedelta(days=40), serial=(1, 2))
        adopt(opened.home, opened.store, ManifestFile(expired, expired.encode()), days.today())
    client = create_app(Home(server.home), load(server.home)).test_client()
    others = sorted(one.id.hex() for one in organisations[1:])

    page = client.get("/en/inbox").data
    assert attribute(page, "organisations") == sorted([*others, former.id.hex()])
    assert len(attribute(page, "manifests")) == 3
    assert len(attribute(client.get("/en/send").data, "manifests")) == 2
    assert f"The {former.name} organisation".encode() not in client.get("/en/").data

    answer = client.post("/api/mailbox/delete", data=encode_delete(box.tokens, [reply.id]))
    assert answer.data == bytes(32)
    page = client.get("/en/inbox").data
    assert attribute(page, "organisations") == others
    assert len(attribute(page, "manifests")) == 2
    server.close()


def test_pages_have_no_field_and_no_inline_script(client: Client) -> None:
    for path in ("/", "/send", "/inbox"):
        page = client.request("GET", path).body.decode().lower()

        assert not re.search(r"<(input|textarea|select|form)\b", page)
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"\son[a-z]+=|style=", page)


def test_every_visitor_gets_the_same_bytes(server: Server) -> None:
    answers = []
    for circuit, agent in (("fc00::1", "a"), ("fc00::2", "b")):
        with server.client(circuit) as client:
            answers.append([client.request("GET", path, None, {"User-Agent": agent}).body for path in PATHS])

    assert answers[0] == answers[1]


@pytest.mark.parametrize("languages", ["ru, kk;q=0.5", "en-GB", "*", "", "xx-invalid-😀".encode().decode("latin-1")])
def test_without_a_prefix_the_language_is_the_visitors(server: Server, languages: str) -> None:
    with server.client() as client:
        answer = client.request("GET", "/", None, {"Accept-Language": languages})

        assert answer.status == 200
        assert b'lang="en"' in answer.body
        assert "Accept-Language" in (answer.header("Vary") or "")


def test_with_a_prefix_the_language_is_the_paths(client: Client) -> None:
    assert "Accept-Language" not in (client.request("GET", "/en/").header("Vary") or "")
    assert client.request("GET", "/xx/").status == 404


def test_a_path_without_its_slash_leads_to_the_page(client: Client) -> None:
    answer = client.request("GET", "/en")

    assert answer.status == 308
    assert (answer.header("Location") or "").endswith("/en/")


def test_no_redirect_repeats_the_host_that_was_asked_for(client: Client) -> None:
    for path in ("/en", "/leave"):
        location = client.request("GET", path, headers={"Host": "evil.example"}).header("Location")
        assert location in ("/en/", "/blank")


def test_a_missing_page_is_a_page(client: Client) -> None:
    answer = client.request("GET", "/canary-in-the-path")

    assert answer.status == 404
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert b"There is no such page." in answer.body
    assert b'<p class="safety">Close this tab if somebody can see it.' in answer.body
    assert b'<a class="button" href="/">' in answer.body
    assert b"canary" not in answer.body


def test_leaving_clears_the_site_and_ends_on_a_blank_page(client: Client) -> None:
    answer = client.request("GET", "/leave")

    assert answer.status == 303
    assert answer.header("Clear-Site-Data") == '"*"'
    blank = client.request("GET", answer.header("Location") or "")
    assert blank.status == 200
    assert b"tip" not in blank.body.lower()


@pytest.mark.parametrize("name", ["page.js", "sealer.js", "reader.js", "toll.js", "style.css"])
def test_static_files_are_those_of_the_build(client: Client, name: str) -> None:
    from tipbox.resources import static_dir

    plain = client.request("GET", f"/static/{name}")
    packed = client.request("GET", f"/static/{name}", None, {"Accept-Encoding": "gzip"})

    assert plain.body == (static_dir() / name).read_bytes()
    assert gzip.decompress(packed.body) == plain.body
    assert packed.header("Content-Encoding") == "gzip"


@pytest.mark.parametrize("name", ["nothing.js", "../style.css", "..%2f..%2fserver.key", "page.js.map", ""])
def test_no_other_file_is_served(client: Client, name: str) -> None:
    assert client.request("GET", f"/static/{name}").status == 404


@pytest.mark.parametrize("language", PINS)
def test_a_list_of_words_is_served_as_it_is_pinned(client: Client, language: str) -> None:
    answer = client.request("GET", f"/static/words-{language}.txt")

    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert sha256(answer.body).hexdigest() == PINS[language].sha256


def test_a_manifest_is_served_as_it_came(client: Client, server: Server) -> None:
    answer = client.request("GET", "/keys/ili.json")

    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert answer.body == (server.keys / "ili.json").read_bytes()
    assert client.request("GET", "/keys/none.json").status == 404
    assert client.request("GET", "/keys/..%2fserver.key").status == 404


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_has_the_strict_headers(server: Server, method: str, path: str) -> None:
    with server.client() as client:
        answer = client.request(method, path, b"" if method == "POST" else None)

        for name, value in HEADERS.items():
            assert answer.header(name) == value, name
        for name in ("Server", "Set-Cookie", "ETag", "Last-Modified", "Expires", "X-Powered-By", "X-RateLimit-Limit"):
            assert answer.header(name) is None, name


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    policy = HEADERS["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert set(re.findall(r"'[a-z]+'", policy)) == {"'none'", "'self'"}


def from_site(client: Client, method: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, "/api/envelope/finish" if method == "POST" else "/", b"", named)


def test_other_sites_are_refused(server: Server) -> None:
    refused = [
        ("GET", {"Sec_Fetch_Site": "cross-site"}),
        ("GET", {"Sec_Fetch_Site": "same-site"}),
        ("POST", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", {"Origin": "http://other.test"}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Origin": "http://tipbox.test:81"}),
        ("POST", {"Sec_Fetch_Site": "same-origin", "Origin": "http://other.test"}),
    ]
    for method, headers in refused:
        with server.client() as client:
            answer = from_site(client, method, **headers)

            assert answer.status == 403, headers
            assert b"Another site caused this request" in answer.body or answer.json["error"] == "cross-site"


def test_our_own_pages_and_commands_are_answered(server: Server) -> None:
    answered = [
        ("GET", {}),
        ("GET", {"Sec_Fetch_Site": "none"}),
        ("GET", {"Sec_Fetch_Site": "same-origin", "Origin": "null"}),
        ("POST", {"Sec_Fetch_Site": "same-origin", "Origin": "http://tipbox.test"}),
        ("POST", {}),
    ]
    for method, headers in answered:
        with server.client() as client:
            assert from_site(client, method, **headers).status == (200 if method == "GET" else 401), headers


# --- Tor's circuit line -----------------------------------------------------------------------------------------------


def bare(server: Server) -> Client:
    """A connection whose first line is no circuit's."""
    return Client(server)


def test_no_circuit(server: Server, organisations: list[Organisation]) -> None:
    with bare(server) as client:
        answer = client.request("GET", "/")
        assert answer.status == 403
        assert b"did not come through the onion service" in answer.body
        assert client.request("GET", "/api/envelope").error == (403, "no-circuit")  # the second request neither
        sent = envelope(organisations)
        answer = client.request("PUT", "/api/envelope", sent.start, bearer(sent.token))
        assert answer.error == (403, "no-circuit")


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN\r\n", b"PROXY\r\n", b"PROXY TCP6 not-an-address ::1 1 2\r\n"])
def test_a_line_that_names_no_circuit(server: Server, line: bytes) -> None:
    with bare(server) as client:
        client.line.sendall(line)
        client.send("GET", "/api/envelope")

        assert client.receive().status in {400, 403}


def test_the_circuit_holds_for_all_requests_of_a_connection(server: Server) -> None:
    with server.client() as client:
        assert [client.request("GET", "/").status for _ in range(3)] == [200, 200, 200]


def test_a_second_circuit_line_is_no_request(server: Server) -> None:
    with server.client() as client:
        client.request("GET", "/")
        client.line.sendall(b"PROXY TCP6 fc00::9 ::1 225 80\r\nGET / HTTP/1.1\r\nHost: tipbox.test\r\n\r\n")

        assert client.receive().status == 400


def test_tcp_does_not_demand_a_circuit_unless_configured(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    with running(tmp_path / "home", keys, settings={"server_proxy_protocol": "on"}) as server:
        with server.client() as client:
            assert client.request("GET", "/api/envelope").error == (403, "no-circuit")
        with server.client() as client:
            client.line.sendall(b"PROXY TCP6 fc00::9 ::1 225 80\r\n")
            assert client.request("GET", "/").status == 200


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_scripts_have_a_budget_of_their_own(organisations: list[Organisation], tmp_path: Path) -> None:
    """A page that comes without its script would say that scripts do not run: pages run out first, and say why."""
    keys = keys_folder(tmp_path / "keys", organisations)
    settings = {"limits_pages": "2", "limits_static": "6", "server_workers": "1"}
    with running(tmp_path / "home", keys, unix=True, settings=settings) as server, server.client("fc00::7") as client:
        for _ in range(2):
            assert client.request("GET", "/send").status == 200
            assert [client.request("GET", f"/static/{name}").status for name in ("page.js", "sealer.js")] == [200, 200]
        refused = client.request("GET", "/send")
        assert refused.status == 429
        assert refused.header("Retry-After")
        assert b"Too many requests for now; wait a little." in refused.body
        assert b"scripts of this page do not run" not in refused.body
        statuses = [client.request("GET", "/static/style.css").status for _ in range(3)]
        assert statuses == [200, 200, 429]
        with server.client("fc00::8") as other:
            assert other.request("GET", "/send").status == 200


# --- no valid key -----------------------------------------------------------------------------------------------------


def test_without_a_valid_key_the_page_says_so(organisations: list[Organisation], tmp_path: Path) -> None:
    expired = days.today() - timedelta(days=40)
    keys = keys_folder(tmp_path / "keys", organisations, start=expired)
    with running(tmp_path / "home", keys) as server, server.client() as client:
        answer = client.request("GET", "/")
        assert answer.status == 503
        assert b"No organisation has a valid key here just now" in answer.body
        assert client.request("GET", "/send").status == 503
        # A tip that was sealed while the keys were good still gets in.
        assert client.open(envelope(organisations)).status == 201


def test_a_new_manifest_is_shown_without_a_restart(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations[:1])
    with running(tmp_path / "home", keys) as server, server.client() as client:
        before = client.request("GET", "/").body
        other = organisations[1]
        with open_server(server.home) as opened:
            manifest = other.manifest()
            adopt(opened.home, opened.store, ManifestFile(manifest, manifest.encode()), days.today())

        until(lambda: other.name.encode() in client.request("GET", "/").body)
        assert other.name.encode() not in before
