"""The site: bytes that are made once, the list of their hashes, and answers that keep WEBCAT's rules."""
# ruff: noqa: RUF001 (organisations read Russian and Kazakh)

from __future__ import annotations

import errno
import html
import json
import re
import shutil
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from nacl.signing import SigningKey
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import TestResponse

from server.site_rules import Answered, faults, foreign
from support.sealed import Organisation, keys_folder
from tipbox.errors import IdentityChanged, InputRefused, Usage
from tipbox.formats.base import canonical, days, fields
from tipbox.formats.base.limits import MIB
from tipbox.formats.site_face import SiteFace
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.release.served_list import ServedList
from tipbox.resources import available_languages, static_dir
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.refusal import SENTENCES, Refusal
from tipbox.server.site_colours import SHAPES, TEXT, contrast, schemes
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt, remove
from tipbox.server.upkeep.check import check_server
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.headers import FIRST_STYLE, HEADERS, PAGE_HEADERS
from tipbox.server.web.pages import Pages
from tipbox.server.web.rendered_site import render_site
from tipbox.server.web.worker_keys import CIRCUIT_DEMANDED

pytestmark = pytest.mark.reads_date

FILES = "/.well-known/tipbox/files.json"
SITE = "/.well-known/tipbox/site.json"
SERVED = "/.well-known/tipbox/served.json"
FOLDERS = [f"/{language}" for language in available_languages()]
ROUTES = [
    *(f"{folder}/{page}" for folder in FOLDERS for page in ("", "send", "inbox")),
    *(f"/{language}" for language in available_languages()),
    *(
        "/",
        "/send",
        "/inbox",
        "/leave",
        "/blank",
        "/nothing",
        "/static/nothing.js",
        "/keys/nobody.json",
        "/favicon.ico",
        "/index.html",
    ),
    *("/.well-known/tipbox/nothing", "/.well-known/webcat/bundle.json", "/.well-known/webcat/nothing.json"),
    *("/api/now", "/api/toll", "/api/envelope", "/api/nothing", "/keys/fidh.json", "/en/send?a=b", "/en//send"),
]
METHODS = ("GET", "POST", "PUT", "OPTIONS", "DELETE")
HEADS: list[dict[str, str]] = [
    {},
    {"Accept-Language": "ru, kk;q=0.5", "User-Agent": "a"},
    {"Accept-Language": "ar", "Accept-Encoding": "gzip", "Cookie": "a=b", "Sec-Fetch-Site": "none"},
    {"Host": "evil.example", "Accept": "application/json", "DNT": "1", "X-Forwarded-For": "192.0.2.1"},
]


def entry(one: Organisation) -> SiteEntry:
    return SiteEntry.of(one.manifest()).signed_by(one.identity)


@dataclass
class Served:
    """A server in this process."""

    home: Home
    organisations: list[Organisation]
    app: Flask

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.app.test_client().get(path, **more)

    def answered(self, path: str, method: str = "GET", **more: Any) -> Answered:
        answer = self.app.test_client().open(path, method=method, **more)
        return Answered(path, answer.status_code, list(answer.headers), answer.data)

    @property
    def listed(self) -> Any:
        return json.loads(self.get(FILES).data)


def serve(home: Path, keys: Path, organisations: list[Organisation]) -> Served:
    config = prepare_server(home, keys)
    return Served(Home(home), organisations, create_app(Home(home), config))


@pytest.fixture(name="signed", scope="module")
def _signed(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose organisations have signed."""
    folder = tmp_path_factory.mktemp("signed")
    home = folder / "home"
    home.mkdir(mode=0o700)
    (home / "site.json").write_bytes(SiteList.of("en", map(entry, organisations)).encode())
    (home / "webcat").mkdir()
    (home / "webcat" / "bundle.json").write_bytes(b'{"a":1}')
    (home / "webcat" / "other.json").write_bytes(b"{}")
    served = serve(home, keys_folder(folder / "keys", organisations), organisations)
    yield served
    served.app.extensions[STORE].engine.dispose()


@pytest.fixture(name="unsigned")
def _unsigned(organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server without a list, as for a trial."""
    monkeypatch.setattr("tipbox.server.storage.organisations.LOOK_AGAIN", 0)
    served = serve(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), organisations)
    yield served
    served.app.extensions[STORE].engine.dispose()


# --- bytes and their list --------------------------------------------------------------------------------------------


def test_every_page_script_style_and_list_of_words_is_listed_by_its_hash(signed: Served) -> None:
    listed = signed.listed

    assert (listed["headers"], listed["page_headers"]) == (HEADERS, PAGE_HEADERS)
    assert listed["language"] == "en"
    assert {f"{folder}/{page}" for folder in FOLDERS for page in ("", "send", "inbox")} <= listed["files"].keys()
    assert {"/static/page.js", "/static/style.css", "/static/words-ru.txt", "/blank", SITE} <= listed["files"].keys()
    for path in listed["files"]:
        answer = signed.answered(path)
        assert answer.status == 200, path
        assert faults(answer, listed) == [], path


@pytest.mark.parametrize("method", METHODS)
def test_every_route_keeps_the_rules(signed: Served, method: str) -> None:
    listed = signed.listed
    rules = {rule.rule for rule in signed.app.url_map.iter_rules()}
    assert len(rules) > 15
    for path in [*ROUTES, *(rule.rule.replace("<", "").replace(">", "") for rule in signed.app.url_map.iter_rules())]:
        for headers in HEADS:
            answer = signed.answered(path, method, headers=headers)
            assert faults(answer, listed) == [], f"{method} {path} {headers}"


WENT_WRONG: dict[str, Callable[[], Exception]] = {
    **{code: (lambda code=code: Refusal(code)) for code in SENTENCES},  # type: ignore[misc]
    "a bug": lambda: RuntimeError("secret"),
    "a full disk": lambda: OSError(errno.ENOSPC, "full"),
    "too large": RequestEntityTooLarge,
    "a format error": lambda: InputRefused("secret"),
}


@pytest.mark.parametrize("wrong", WENT_WRONG)
def test_every_error_of_every_route_is_one_page(signed: Served, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = signed.listed

    def fail(*_: object) -> None:
        error = WENT_WRONG[wrong]()
        raise error

    monkeypatch.setattr(Pages, "site", fail)
    monkeypatch.setattr("tipbox.server.web.now_api.Now.body", fail)
    bodies = set()
    for path in ROUTES:
        answer = signed.answered(path)
        assert faults(answer, listed) == [], path
        if answer.kind == "text/html" and not answer.all("location"):
            bodies.add(answer.body)
            assert answer.status >= 400
    assert len(bodies) == 1


def test_who_is_not_answered_gets_that_page_too(signed: Served) -> None:
    listed = signed.listed
    for more in ({"headers": {"Sec-Fetch-Site": "cross-site"}}, {"environ_base": {CIRCUIT_DEMANDED: True}}):
        answer = signed.answered("/en/", **more)
        assert (answer.status, faults(answer, listed)) == (403, [])


def test_above_a_budget_that_page_is_served_too(signed: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIPBOX_LIMITS_ALL_PER_SECOND", "1")
    app = create_app(signed.home, load(signed.home.path))
    slow = replace(signed, app=app)
    answers = [slow.answered("/en/") for _ in range(10)]
    app.extensions[STORE].engine.dispose()

    assert {answer.status for answer in answers} == {200, 429}
    assert [fault for answer in answers for fault in faults(answer, signed.listed)] == []


def test_two_visitors_get_the_same_bytes_whatever_they_say(signed: Served) -> None:
    for path in ROUTES:
        answers = [signed.answered(path, headers=headers) for headers in HEADS]
        assert len({(one.status, one.plain) for one in answers}) == 1, path


def test_the_same_list_gives_the_same_bytes_on_any_day_and_any_machine(
    signed: Served, organisations: list[Organisation], tmp_path: Path
) -> None:
    listed = SiteList.parse((signed.home.site).read_bytes())
    site = render_site(listed)
    assert {path: body.plain for path, body in site.files.items()} == {
        path: signed.answered(path).body for path in site.files
    }
    # Other manifests, of another day; on another server.
    keys = keys_folder(tmp_path / "keys", organisations, serial=(3, 3), length=20)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(signed.home.site, home)
    other = serve(home, keys, organisations)
    assert other.get(FILES).data == signed.get(FILES).data
    assert other.get("/en/send").data == signed.get("/en/send").data
    other.app.extensions[STORE].engine.dispose()


def test_it_is_written_as_it_is_served(signed: Served, tmp_path: Path) -> None:
    site = render_site(SiteList.parse(signed.home.site.read_bytes()))
    out = tmp_path / "out"
    site.write(out)

    assert (out / "en" / "index.html").read_bytes() == signed.get("/en/").data
    assert (out / "en" / "send").read_bytes() == signed.get("/en/send").data
    assert (out / "error.html").read_bytes() == signed.get("/nothing").data
    assert (out / "static" / "page.js").read_bytes() == signed.get("/static/page.js").data
    assert (out / ".well-known" / "tipbox" / "files.json").read_bytes() == signed.get(FILES).data
    assert sum(path.is_file() for path in out.rglob("*")) == len(site.files) + 1
    with pytest.raises(Usage, match="something in it"):
        site.write(out)


@pytest.mark.parametrize("language", available_languages())
def test_without_a_language_a_path_leads_to_the_lists_whatever_is_accepted(
    language: str, organisations: list[Organisation], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "site.json").write_bytes(SiteList.of(language, map(entry, organisations)).encode())
    served = serve(home, keys_folder(tmp_path / "keys", organisations), organisations)
    for page in ("", "send", "inbox"):
        for headers in HEADS:
            answer = served.get(f"/{page}", headers=headers)
            assert (answer.status_code, answer.location, answer.data) == (303, f"/{language}/{page}", b"")
    assert f'<html lang="{language}"'.encode() in served.get("/", follow_redirects=True).data
    assert served.listed["language"] == language
    served.app.extensions[STORE].engine.dispose()


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_the_page_has_one_size_in_all_languages(signed: Served, accepted: str) -> None:
    """Nobody who sees sizes learns what somebody reads."""
    answers = [signed.get(f"{folder}/", headers={"Accept-Encoding": accepted}) for folder in FOLDERS]
    assert len({answer.data for answer in answers}) == len(FOLDERS) > 1
    assert len({len(answer.data) for answer in answers}) == 1
    assert len({tuple(answer.headers) for answer in answers}) == 1
    assert all((answer.headers.get("Content-Encoding") == "gzip") == (accepted == "gzip") for answer in answers)


def test_the_page_leads_to_itself_in_every_other_language(signed: Served) -> None:
    languages = available_languages()
    for language in languages:
        body = signed.get(f"/{language}/").data.decode()
        there = re.findall(r'<a href="([^"]+)" lang="([^"]+)" hreflang', body)
        assert sorted(there) == sorted((f"/{one}/", one) for one in languages if one != language)
        # Old addresses lead to the same document, which opens at what they name.
        assert signed.get(f"/{language}/send").data == signed.get(f"/{language}/inbox").data == body.encode()
    assert b"hreflang" not in signed.get("/nothing").data


# --- what a changed byte does ----------------------------------------------------------------------------------------


def changed(body: bytes) -> bytes:
    return body[:-2] + bytes([body[-2] ^ 1]) + body[-1:]


@pytest.mark.parametrize("path", ["/en/", "/en/inbox", "/blank", "/static/page.js", "/static/style.css", "/nothing"])
def test_one_changed_byte_is_found(signed: Served, path: str) -> None:
    answer = signed.answered(path)

    assert faults(answer, signed.listed) == []
    assert faults(replace(answer, body=changed(answer.body)), signed.listed) == ["the bytes are not the listed ones"]


def test_a_page_in_the_place_of_another_is_found(signed: Served) -> None:
    assert faults(replace(signed.answered("/ru/"), path="/en/"), signed.listed) != []
    assert faults(replace(signed.answered("/nothing"), status=200), signed.listed) != []


@pytest.mark.parametrize("name", HEADERS | PAGE_HEADERS)
def test_one_changed_header_is_found(signed: Served, name: str) -> None:
    answer = signed.answered("/en/send")
    others = [(key, value) for key, value in answer.headers if key != name]
    value = (HEADERS | PAGE_HEADERS)[name]
    for headers in (others, [*others, (name, f"{value}x")], [*answer.headers, (name, value)]):
        assert f"{name} is not the listed one" in faults(replace(answer, headers=headers), signed.listed)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("Link", "</x.js>; rel=preload"), "there is a header link"),
        (("Refresh", "0; url=/x"), "there is a header refresh"),
        (("Set-Cookie", "a=b"), "there is a header set-cookie"),
        (("Location", "//evil.example/"), "it leads to //evil.example/"),
        (("Location", "https://evil.example/"), "it leads to https://evil.example/"),
        (("Content-Security-Policy-Report-Only", "x"), "there is not one policy"),
    ],
)
def test_a_header_that_leads_away_is_found(signed: Served, more: tuple[str, str], fault: str) -> None:
    answer = signed.answered("/en/")
    assert fault in faults(replace(answer, headers=[*answer.headers, more]), signed.listed)


@pytest.mark.parametrize(
    "policy",
    [
        "default-src 'none'; script-src 'self' https://evil.example; worker-src 'self'",
        "default-src 'none'; script-src 'unsafe-inline'; worker-src 'self'",
        "default-src 'none'; script-src 'self'; worker-src blob:",
        "default-src 'self'; script-src 'self'; worker-src 'self'",
        "default-src 'none', script-src *",
    ],
)
def test_a_policy_that_lets_others_in_is_found_also_when_it_is_listed(signed: Served, policy: str) -> None:
    answer, name = signed.answered("/en/"), "Content-Security-Policy"
    listed = signed.listed | {"headers": HEADERS | {name: policy}}
    headers = [(key, policy if key == name else value) for key, value in answer.headers]
    assert faults(replace(answer, headers=headers), listed) != []


def test_a_manifest_of_another_identity_key_is_found(signed: Served, organisations: list[Organisation]) -> None:
    now, site = signed.get("/api/now").data, signed.get(SITE).data
    assert foreign(now, site) == []
    own = Organisation(organisations[0].name).manifest().encode().decode()
    value = json.loads(now)
    value["manifests"][0] = own
    assert foreign(json.dumps(value).encode(), site) == [organisations[0].name]
    # And whoever puts that key into the list as well changes the bytes of the pages.
    swapped = [SiteEntry.of(Organisation(organisations[0].name).manifest()), *map(entry, organisations[1:])]
    assert render_site(SiteList.of("en", swapped)).files["/en/send"].plain != signed.get("/en/send").data


# --- the list of organisations ---------------------------------------------------------------------------------------


def test_pages_name_those_of_the_list_and_only_they_are_offered(
    signed: Served, organisations: list[Organisation], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    first = organisations[0]
    (home / "site.json").write_bytes(SiteList.of("en", [entry(first)]).encode())
    served = serve(home, keys_folder(tmp_path / "keys", organisations), organisations)

    page = served.get("/en/").data.decode()
    assert f"The {first.name} organisation" in page
    assert all(f"The {one.name} organisation" not in page for one in organisations[1:])
    now = served.get("/api/now").data
    assert json.loads(now)["named"] == [first.id.hex()]
    assert foreign(now, served.get(SITE).data) == []
    [finding] = [one for one in check_server(home) if one.check == "site"]
    assert not finding.ok
    assert all(one.name in finding.message for one in organisations[1:])
    served.app.extensions[STORE].engine.dispose()
    assert [one.ok for one in check_server(signed.home.path) if one.check == "site"] == [True]


def test_without_a_list_it_is_made_of_the_manifests_and_check_says_so(unsigned: Served) -> None:
    listed = SiteList.parse(unsigned.get(SITE).data)
    assert sorted(listed.unsigned) == sorted(one.name for one in unsigned.organisations)
    assert listed == SiteList.of("en", [SiteEntry.of(one.manifest()) for one in unsigned.organisations])
    [finding] = [one for one in check_server(unsigned.home.path) if one.check == "site"]
    assert finding.ok
    assert "no organisation has signed" in finding.message


def test_without_a_list_organisations_come_and_go_while_it_runs(unsigned: Served) -> None:
    other = Organisation("new")
    before = unsigned.get(FILES).data
    with open_server(unsigned.home.path) as opened:
        newer = unsigned.organisations[0].manifest(serial=(1, 2))
        adopt(opened.home, opened.store, ManifestFile(newer, newer.encode()), days.today())
        assert unsigned.get(FILES).data == before, "a new manifest of the same organisation changes no page"
        manifest = other.manifest()
        adopt(opened.home, opened.store, ManifestFile(manifest, manifest.encode()), days.today())
        assert b"The new organisation" in unsigned.get("/en/").data
        assert (
            html.escape(fields.to_base64(other.identity.verify_key.encode())).encode() in unsigned.get("/en/send").data
        )
        assert faults(unsigned.answered("/en/send"), unsigned.listed) == []
        remove(opened.home, opened.store, other.name)
        assert unsigned.get(FILES).data == before


def test_a_list_that_names_another_key_than_the_pinned_one_is_refused(
    organisations: list[Organisation], tmp_path: Path
) -> None:
    keys, home = keys_folder(tmp_path / "keys", organisations), tmp_path / "home"
    prepare_server(home, keys)
    for other in (Organisation(organisations[0].name), replace(organisations[0], name="other")):
        (home / "site.json").write_bytes(SiteList.of("en", [entry(other)]).encode())
        with pytest.raises(IdentityChanged, match="is not the organisation that this server knows"):
            prepare_server(home, keys)


@pytest.mark.parametrize("spoil", ["signature", "json", "size"])
def test_a_list_that_was_changed_stops_the_start(organisations: list[Organisation], tmp_path: Path, spoil: str) -> None:
    value = json.loads(SiteList.of("en", map(entry, organisations)).encode())
    value["organisations"][0]["name"] = "Another name"
    spoilt = {"signature": canonical.encode(value, file_form=True), "json": b"{", "size": bytes(MIB)}
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "site.json").write_bytes(spoilt[spoil])
    with pytest.raises(InputRefused, match=r"site\.json"):
        prepare_server(home, keys_folder(tmp_path / "keys", organisations))


def test_a_language_that_is_not_offered_is_found(organisations: list[Organisation], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "site.json").write_bytes(SiteList.of("tlh", map(entry, organisations)).encode())
    served = serve(home, keys_folder(tmp_path / "keys", organisations), organisations)
    assert served.get("/").location == "/en/"
    [finding] = [one for one in check_server(home) if one.check == "site"]
    assert (finding.ok, "tlh" in finding.message) == (False, True)
    served.app.extensions[STORE].engine.dispose()


# --- WEBCAT ----------------------------------------------------------------------------------------------------------


def test_files_for_webcat_are_served_from_their_folder(signed: Served) -> None:
    answer = signed.get("/.well-known/webcat/bundle.json")
    assert (answer.status_code, answer.content_type, answer.data) == (200, "application/json", b'{"a":1}')
    for name in ("other", "enrollment", "../site", "..%2fsite"):
        assert signed.get(f"/.well-known/webcat/{name}.json").status_code == 404
    assert signed.get("/.well-known/webcat/manifest.json").data == signed.get(SERVED).data


def test_what_is_served_is_listed_as_webcat_and_waict_spell_it(signed: Served) -> None:
    served, listed = ServedList.parse(signed.get(SERVED).data), signed.listed
    beside = {SERVED: sha256(signed.get(SERVED).data).hexdigest()}
    assert {path: digest.hex() for path, digest in served.hashes.items()} == {
        **{path: digest for path, digest in listed["files"].items() if path != SERVED},
        "/error.html": listed["error"],
    }
    assert beside.items() <= listed["files"].items()
    assert served.policy == HEADERS["Content-Security-Policy"]
    for path, kind in served.types.items():
        assert signed.get(path).content_type == kind
    # WEBCAT: an exact path, or with default_index where it ends in a slash, or the fallback.
    manifest = json.loads(served.encode())["manifest"]
    for path in (*served.hashes, "/nothing", "/static/nothing.js"):
        named = path + manifest["default_index"] if path.endswith("/") else path
        digest = manifest["files"].get(named, manifest["files"][manifest["default_fallback"]])
        assert urlsafe_b64decode(digest + "=") == sha256(signed.get(path).data).digest(), path


def test_a_file_for_webcat_has_a_bound(organisations: list[Organisation], tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "webcat").mkdir(mode=0o700, parents=True)
    (home / "webcat" / "manifest.json").write_bytes(bytes(MIB + 1))
    with pytest.raises(InputRefused, match=r"manifest\.json"):
        prepare_server(home, keys_folder(tmp_path / "keys", organisations))


# --- looks -----------------------------------------------------------------------------------------------------------

READ = [
    *((ink, ground) for ink in ("text", "quiet", "strong") for ground in ("ground", "card", "wash", "care")),
    ("on-strong", "strong"),
    ("ground", "text"),
    ("alarm", "ground"),
    ("alarm", "card"),
    ("text", "alarm-wash"),
]
"""What is written on what."""
SEEN = [("line", "ground"), ("line", "card"), ("care-line", "care"), ("care-line", "ground"), ("alarm", "alarm-wash")]
"""Borders and shapes that say something, and what is beside them."""
STYLE = FIRST_STYLE + (static_dir() / "style.css").read_text()


KINDS = ("killings", "torture", "disappearances", "arrests", "forced labour", "censorship", "corruption", "pollution")
PLACES = ("Almaty", "Tbilisi", "Geneva", "Berlin", "Nairobi", "Lima", "Manila", "Tunis")
LINES = {
    "en": "We document {kind} in and around {place}, and bring them before courts.",
    "ru": "Собираем свидетельства ({kind}, {place}) и передаём их судам.",
    "ar": "نوثق ({kind}) في {place} ونعرضها على المحاكم.",
}


def many(count: int) -> tuple[SiteEntry, ...]:
    """So many organisations, each with a line of its own in three languages."""
    entries = []
    for number in range(count):
        key = SigningKey(sha256(number.to_bytes(2)).digest())
        kind, place = KINDS[number % 8], PLACES[(number // 8 + number) % 8]
        about = {language: line.format(kind=kind, place=place) for language, line in LINES.items()}
        name, tags = f"{place} Centre against {kind} {number}", ("kk", "ru", "en", "ar")[number % 3 :]
        country = ("KZ", "GE", "CH", "DE", "KE", "PE", "PH", "TN")[number % 8]
        entry = SiteEntry(f"centre-{number}", name, country, tags, key.verify_key.encode(), about=about)
        entries.append(entry.signed_by(key))
    return tuple(entries)


@pytest.mark.parametrize("count", [1, 8, 32])
def test_pages_of_few_and_of_many_organisations_are_small(count: int) -> None:
    """As they are on the wire: 15 kB without scripts, 60 kB with those that a form needs."""
    files = render_site(SiteList.of("ru", many(count))).files
    weights = {path: len(body.packed) for path, body in files.items()}
    for language in available_languages():
        plain = weights[f"/{language}/"] + weights["/static/style.css"]
        assert plain <= 15_000, language
        assert plain + sum(weights[f"/static/{name}.js"] for name in ("start", "page", "worker")) <= 60_000, language
        page = files[f"/{language}/"].plain.decode()
        assert page.count("data-identity=") == count


def test_languages_of_an_organisation_stand_one_after_the_other_as_each_language_has_it() -> None:
    files = render_site(SiteList.of("ru", many(1))).files
    said = {
        language: re.findall(r'</bdi></b><span class="quiet">([^<]+)<', files[f"/{language}/"].plain.decode())
        for language in ("en", "ru", "ar", "kk")
    }
    assert said["en"] == ["Kazakhstan · Kazakh, Russian, English, and Arabic"]
    assert said["ru"] == ["Казахстан · казахский, русский, английский и арабский"]
    assert said["ar"] == ["كازاخستان · الكازاخستانية والروسية والإنجليزية والعربية"]
    assert said["kk"] == ["Қазақстан · қазақ тілі, орыс тілі, ағылшын тілі, араб тілі"], "Babel does not know it"


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#0c5450", "#0c5450") == 1


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_everything_can_be_read(scheme: int) -> None:
    colours = schemes(STYLE)[scheme]
    for ink, ground in READ:
        assert contrast(colours[ink], colours[ground]) >= TEXT, (ink, ground)
    for ink, ground in SEEN:
        assert contrast(colours[ink], colours[ground]) >= SHAPES, (ink, ground)


def test_a_site_has_its_name_its_colours_and_its_mark(organisations: list[Organisation]) -> None:
    face = SiteFace("Дом <b>", "#5a1f7a", "#d9b3ff", "M4 4h16v16H4z")
    files = render_site(SiteList.of("ru", map(entry, organisations), face)).files
    page, style = (files[path].plain.decode() for path in ("/ru/", "/static/style.css"))
    assert "Дом &lt;b&gt;</bdi></b>" in page
    assert '<path d="M4 4h16v16H4z"/>' in page
    assert (FIRST_STYLE + style).startswith(STYLE)
    assert ":root{--strong:#5a1f7a;--on-strong:#ffffff}" in style
    plain = render_site(SiteList.of("ru", map(entry, organisations))).files["/static/style.css"].plain.decode()
    assert FIRST_STYLE + plain == STYLE


@pytest.mark.parametrize(
    ("light", "dark", "said"), [("#ffd000", "#7fcdbf", "darker"), ("#0c5450", "#0c5450", "lighter")]
)
def test_a_colour_that_cannot_be_read_is_refused(
    organisations: list[Organisation], light: str, dark: str, said: str
) -> None:
    listed = SiteList.of("en", map(entry, organisations), SiteFace("House", light, dark))
    with pytest.raises(InputRefused, match=f"contrast of .* choose a {said} one"):
        render_site(listed)


def test_who_an_organisation_is_stands_beside_its_name(organisations: list[Organisation]) -> None:
    """In the page's language, else in one of its own."""
    one = organisations[0]
    speaking = replace(SiteEntry.of(one.manifest()), about={"ru": "Кто мы", "fr": "Qui"}).signed_by(one.identity)
    files = render_site(SiteList.of("ru", [speaking])).files
    assert "Кто мы" in files["/ru/"].plain.decode()
    assert "Qui" in files["/fr/"].plain.decode()
    assert 'dir="auto">Кто мы<' in files["/ru/"].plain.decode()
    own = {f'dir="auto" lang="{tag}">{line}<' for tag, line in speaking.about.items()}
    assert any(line in files["/en/"].plain.decode() for line in own), "and says which language that is"
