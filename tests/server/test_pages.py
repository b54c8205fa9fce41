"""Pages, headers of every answer, and who is not answered: other sites, and connections without a circuit."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from support.client import Answer, Client, bearer
from support.loopback import until
from support.sealed import Organisation, envelope, keys_folder
from support.server import Server, running, start
from tipbox.formats.base import days, fields
from tipbox.formats.wordlists import PINS
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt
from tipbox.server.web.headers import HEADERS, PAGE_HEADERS

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
    "/.well-known/tipbox/site.json",
    "/.well-known/tipbox/files.json",
    "/.well-known/webcat/bundle.json",
    "/nothing",
    "/api/x",
]


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


def test_the_start_page(client: Client) -> None:
    answer = client.request("GET", "/en/")

    page = answer.body.decode()
    assert answer.status == 200
    assert '<html lang="en" dir="ltr">' in page
    assert "The fidh organisation" in page
    assert "Kazakhstan" in page
    assert 'href="#write"' in page
    assert 'href="#read"' in page


@pytest.mark.parametrize("path", ["/en/", "/en/send", "/en/inbox"])
def test_the_page_carries_the_identity_keys_and_no_manifest(
    client: Client, organisations: list[Organisation], path: str
) -> None:
    page = client.request("GET", path).body.decode()

    cards = re.findall(
        r'<li class="card" data-identity="([^"]+)"><b><bdi>([^<]+)</bdi></b><span class="quiet">([^<]+)</span></li>',
        page,
    )
    assert sorted((html.unescape(key), name, where) for key, name, where in cards) == sorted(
        (
            fields.to_base64(one.identity.verify_key.encode()),
            f"The {one.name} organisation",
            "Kazakhstan · Russian and Kazakh",
        )
        for one in organisations
    )
    for one in organisations:
        assert page.count(fields.to_base64(one.identity.verify_key.encode())) == 1, "said once"
    assert "signature" not in page


def test_pages_have_no_field_and_no_inline_script(client: Client) -> None:
    for path in ("/en/", "/en/send", "/en/inbox"):
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


def test_a_running_server_serves_what_it_lists_to_every_circuit(server: Server) -> None:
    with server.client() as client:
        listed = client.request("GET", "/.well-known/tipbox/files.json").json
    for circuit, accepted in (("fc00::11", "gzip"), ("fc00::12", "identity")):
        with server.client(circuit) as client:
            for path, expected in listed["files"].items():
                answer = client.request("GET", path, None, {"Accept-Encoding": accepted})
                packed = answer.header("Content-Encoding") == "gzip"
                body = gzip.decompress(answer.body) if packed else answer.body
                assert sha256(body).hexdigest() == expected, path
            assert sha256(client.request("GET", "/nothing").body).hexdigest() == listed["error"]


@pytest.mark.parametrize("languages", ["ru, kk;q=0.5", "en-GB", "*", "", "xx-invalid-😀".encode().decode("latin-1")])
def test_what_a_visitor_accepts_changes_nothing(server: Server, languages: str) -> None:
    """Tor Browser claims English for everybody, and whoever asks twice must get the same bytes."""
    with server.client() as client:
        answer = client.request("GET", "/", None, {"Accept-Language": languages})

        assert (answer.status, answer.header("Location"), answer.body) == (303, "/en/", b"")
        assert "Accept-Language" not in (answer.header("Vary") or "")


def test_a_language_that_is_not_here_is_no_page(client: Client) -> None:
    assert client.request("GET", "/xx/").status == 404


def test_a_path_without_its_slash_leads_to_the_page(client: Client) -> None:
    answer = client.request("GET", "/en")

    assert answer.status == 308
    assert (answer.header("Location") or "").endswith("/en/")


def test_no_redirect_repeats_the_host_that_was_asked_for(client: Client) -> None:
    for path in ("/", "/en"):
        location = client.request("GET", path, headers={"Host": "evil.example"}).header("Location")
        assert location == "/en/"


def test_a_missing_page_is_the_page_of_all_errors(client: Client) -> None:
    answer = client.request("GET", "/canary-in-the-path")

    assert answer.status == 404
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert b"There may be no such page" in answer.body
    assert b'<p class="safety">Close this tab if somebody can see it.' in answer.body
    assert b'<a class="button" href="/">' in answer.body
    assert b"canary" not in answer.body
    assert client.request("POST", "/send", b"").body == answer.body


def test_leaving_clears_the_site_and_ends_on_a_blank_page_at_once(client: Client) -> None:
    """One answer: each more takes seconds on a bad line, and what is left stays on the screen for them."""
    answer = client.request("GET", "/leave")

    assert answer.status == 200
    assert answer.header("Clear-Site-Data") == '"*"'
    assert answer.body == client.request("GET", "/blank").body
    assert b"tip" not in answer.body.lower()


@pytest.mark.parametrize(
    "name",
    [
        *("start.js", "page.js", "opened.js", "worker.js", "read.js", "continuing.js", "toll.js", "photo.js"),
        "style.css",
    ],
)
def test_static_files_are_those_of_the_build(client: Client, name: str) -> None:
    from tipbox.resources import static_dir

    plain = client.request("GET", f"/static/{name}")
    packed = client.request("GET", f"/static/{name}", None, {"Accept-Encoding": "gzip"})

    assert plain.body == (static_dir() / name).read_bytes()
    assert gzip.decompress(packed.body) == plain.body
    assert packed.body == (static_dir() / f"{name}.gz").read_bytes(), "packed better than this server could"
    assert packed.header("Content-Encoding") == "gzip"


@pytest.mark.parametrize(
    "name", ["nothing.js", "../style.css", "..%2f..%2fserver.key", "page.js.map", "page.js.gz", ""]
)
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
        is_page = (answer.header("Content-Type") or "").startswith("text/html")
        for name, value in PAGE_HEADERS.items():
            assert answer.header(name) == (value if is_page else None), name
        for name in ("Server", "Set-Cookie", "ETag", "Last-Modified", "Expires", "X-Powered-By", "X-RateLimit-Limit"):
            assert answer.header(name) is None, name


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    policy = HEADERS["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert set(re.findall(r"'[a-z]+'", policy)) == {"'none'", "'self'"}


def from_site(client: Client, method: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, "/api/envelope/finish" if method == "POST" else "/en/", b"", named)


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
            assert answer.json["error"] == "cross-site" if method == "POST" else b"did not work" in answer.body


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
        assert b"This did not work" in answer.body
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
        assert [client.request("GET", "/en/").status for _ in range(3)] == [200, 200, 200]


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
            assert client.request("GET", "/en/").status == 200


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_scripts_have_a_budget_of_their_own(organisations: list[Organisation], tmp_path: Path) -> None:
    """A page that comes without its script would say that scripts do not run: pages run out first, and say why."""
    keys = keys_folder(tmp_path / "keys", organisations)
    settings = {"limits_pages": "2", "limits_static": "6", "server_workers": "1"}
    with running(tmp_path / "home", keys, unix=True, settings=settings) as server, server.client("fc00::7") as client:
        for _ in range(2):
            assert client.request("GET", "/en/send").status == 200
            assert [client.request("GET", f"/static/{name}").status for name in ("page.js", "worker.js")] == [200, 200]
        refused = client.request("GET", "/en/send")
        assert refused.status == 429
        assert refused.header("Retry-After")
        assert b"Wait a minute and try again" in refused.body
        assert b"scripts of this page do not run" not in refused.body
        statuses = [client.request("GET", "/static/style.css").status for _ in range(3)]
        assert statuses == [200, 200, 429]
        with server.client("fc00::8") as other:
            assert other.request("GET", "/en/send").status == 200


# --- no valid key -----------------------------------------------------------------------------------------------------


def test_without_a_valid_key_pages_are_served_and_nobody_can_be_sealed_to(
    organisations: list[Organisation], tmp_path: Path
) -> None:
    """So answers that lie here can be read; the form says by script that nothing can be sealed."""
    expired = days.today() - timedelta(days=40)
    keys = keys_folder(tmp_path / "keys", organisations, start=expired)
    with running(tmp_path / "home", keys) as server, server.client() as client:
        for path in ("/en/", "/en/send", "/en/inbox"):
            assert client.request("GET", path).status == 200
        assert client.request("GET", "/api/now").json["manifests"] == []
        # A tip that was sealed while the keys were good still gets in.
        assert client.open(envelope(organisations)).status == 201


def test_a_new_organisation_is_shown_without_a_restart(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations[:1])
    with running(tmp_path / "home", keys) as server, server.client() as client:
        before = client.request("GET", "/en/").body
        other = organisations[1]
        with open_server(server.home) as opened:
            manifest = other.manifest()
            adopt(opened.home, opened.store, ManifestFile(manifest, manifest.encode()), days.today())

        until(lambda: other.name.encode() in client.request("GET", "/en/").body)
        assert other.name.encode() not in before
