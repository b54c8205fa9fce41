"""Who is refused: a wrong passphrase, a second tab, other hosts and sites, a token or an address that was used."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from desk.pages.hand import Hand
from desk.pages.serving import WORDS, Pages, serving
from support.desk import Desk
from tipbox.desk.pages.guard import HEADERS, OPEN_PATHS, SESSION_HEADER
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.session import MAX_TRIES, Session
from tipbox.formats.base.limits import MAX_MESSAGE

pytestmark = pytest.mark.reads_date

SCREENS = (
    *("/inbox", "/inbox/act", "/same", "/same/act", "/staff", "/thread", "/thread/act", "/thread/draft"),
    *("/staff/add", "/staff/passphrase", "/staff/rename", "/staff/remove"),
    *("/thread/attach", "/thread/detach", "/thread/forget", "/same/compare"),
    *("/thread/reply", "/thread/unsend", "/thread/translation", "/file", "/file/look", "/file/picture", "/file/take"),
    *("/stick", "/stick/job", "/stick/import", "/stick/copy", "/stick/outbox", "/health", "/stay", "/lock"),
)


def opened(pages: Pages) -> str:
    """Unlock; the secret of the session."""
    answer = pages.unlock()
    assert answer.status == 204
    return answer.headers[SESSION_HEADER]


def works(pages: Pages, secret: str) -> bool:
    return "data-screen" in pages.post("/inbox", headers={SESSION_HEADER: secret}).text


def test_all_screens_are_tried_here(tmp_path: Path) -> None:
    app = create_app(Session(tmp_path, "token", seconds=60), "en")
    paths = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert paths == {*SCREENS, "/unlock"}


def test_without_the_secret_nothing_is_shown_before_and_after_unlocking(pages: Pages) -> None:
    for secret in ("", "guess"):
        assert {pages.post(path, headers={SESSION_HEADER: secret}).status for path in SCREENS} == {401}
    secret = opened(pages)
    for other in ("", "guess", secret[:-1], secret.swapcase(), pages.token):
        assert {pages.post(path, headers={SESSION_HEADER: other}).status for path in SCREENS} == {401}
    assert works(pages, secret), "the control"


def test_a_wrong_passphrase_is_one_line_and_spends_nothing(pages: Pages) -> None:
    answer = pages.unlock("wrong horse")
    assert (answer.status, answer.text) == (403, "unlocking: the passphrase is wrong\n")
    assert SESSION_HEADER not in answer.headers
    assert works(pages, opened(pages))


def test_a_passphrase_opens_in_the_forms_that_keyboards_give_it(pages: Pages) -> None:
    assert pages.unlock(f"  {WORDS.replace(' ', '  ')} ").status == 204


def test_whoever_tries_many_passphrases_starts_anew(filled: Desk, tmp_path: Path) -> None:
    session = Session(filled.vault, "token", seconds=60)
    session._tries = MAX_TRIES  # each try takes a second on purpose
    client = create_app(session, "en").test_client()
    session.address = "localhost"
    answer = client.post(
        "/unlock", data={"token": "token", "passphrase": WORDS}, headers={"Origin": "http://localhost"}
    )
    assert (answer.status_code, session.ending.is_set()) == (401, True)
    assert tmp_path.exists()


def test_the_longest_answer_is_taken_and_what_is_longer_is_said_to_be(pages: Pages) -> None:
    """Written in Cyrillic, a form is three times as long as its words."""
    secret = opened(pages)
    for count, is_taken in ((MAX_MESSAGE // 2, True), (2 * MAX_MESSAGE, False)):
        answer = pages.post("/thread/draft", [("text", "я" * count)], headers={SESSION_HEADER: secret})
        assert (answer.status != 413) is is_taken, answer.status
    assert answer.text == "this is longer than an answer can be; make it shorter\n"
    assert works(pages, secret)


def test_a_token_unlocks_once(pages: Pages) -> None:
    secret = opened(pages)
    again = pages.unlock()
    assert (again.status, again.text) == (401, "refused\n")
    assert pages.unlock(token="").status == 401
    assert works(pages, secret), "whoever tries again ends nothing"


def test_the_passphrase_alone_opens_nothing(pages: Pages) -> None:
    assert pages.unlock(token="guess").status == 401


@pytest.mark.parametrize("path", ["/", "/desk.js", "/inbox", "/unlock", "/nothing"])
def test_another_host_is_refused(pages: Pages, path: str) -> None:
    secret = opened(pages)
    for host in (f"localhost:{pages.port}", "evil.example", f"evil.example:{pages.port}", "127.0.0.1", "127.0.0.1:1"):
        for method in ("GET", "POST"):
            answer = pages.ask(method, path, headers={"Host": host, "Origin": f"http://{host}", SESSION_HEADER: secret})
            assert (answer.status, answer.text) == (421, "refused\n"), (method, host)


def test_another_site_is_refused(pages: Pages) -> None:
    secret = opened(pages)
    from_elsewhere = ("http://evil.example", "null", f"https://{pages.host}", f"http://localhost:{pages.port}", "")
    for origin in from_elsewhere:
        for path in SCREENS:
            assert pages.post(path, headers={"Origin": origin, SESSION_HEADER: secret}).status == 403, (origin, path)
    for site in ("cross-site", "same-site"):
        for path in ("/", "/desk.js", "/inbox"):
            sent = {"Sec-Fetch-Site": site, SESSION_HEADER: secret}
            assert pages.post(path, headers=sent).status == 403, (site, path)
            assert pages.ask("GET", path, headers=sent).status == 403, (site, path)
    assert pages.ask("POST", "/inbox", headers={SESSION_HEADER: secret}).status == 403, "no Origin at all"
    assert works(pages, secret), "the control"


def test_no_address_shows_anything(pages: Pages) -> None:
    secret = opened(pages)
    for path in SCREENS:
        assert pages.ask("GET", path, headers={"Origin": f"http://{pages.host}", SESSION_HEADER: secret}).status == 405
        assert pages.ask("GET", f"{path}?session={secret}").status in {403, 405}


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_what_anybody_gets_says_nothing_of_the_vault(pages: Pages, path: str) -> None:
    before = pages.ask("GET", path)
    opened(pages)
    assert pages.ask("GET", path).text == before.text
    assert before.status in {200, 204}


@pytest.mark.parametrize("path", ["/", "/desk.js", "/desk.css", "/inbox", "/nothing"])
def test_each_answer_says_what_may_be_done_with_it(pages: Pages, path: str) -> None:
    secret = opened(pages)
    for answer in (pages.ask("GET", path), pages.post(path, headers={SESSION_HEADER: secret})):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "Set-Cookie" not in answer.headers
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_a_request_has_a_bound(pages: Pages) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=60)
    for length in (str(1 << 40), "-1", "1e3"):
        connection.putrequest("POST", "/inbox")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_what_nobody_can_mean_is_refused_and_no_bug(pages: Pages, tmp_path: Path) -> None:
    secret = opened(pages)
    shown = pages.shown("/inbox", secret, ("view", "all"), ("query", "enclosed"))
    thread = shown.split('data-thread="')[1].split('"')[0]
    tip = pages.shown("/thread", secret, ("thread", thread)).split('data-tip="')[1].split('"')[0]
    long, file = "/" + "a" * 300, (("tip", tip), ("number", "1"))
    tried: list[tuple[str, *tuple[tuple[str, str], ...]]] = [
        *(("/inbox", ("page", page)) for page in ("²", "9" * 5000, "-1")),
        *((path, ("path", place)) for path in ("/stick", "/stick/import", "/stick/copy") for place in (long, "/x\0y")),
        *(("/thread/attach", ("thread", thread), ("path", path)) for path in (long, "/x\0y", "/dev/zero")),
        *(
            ("/file/take", *file, ("path", path), ("reason", "for the court"))
            for path in (long, "/x\0y", "/dev/null/x")
        ),
        *((path, ("tip", tip), ("number", number)) for path in ("/file", "/file/look") for number in ("0", "99999")),
        ("/file/take", ("tip", tip), ("number", "99999"), ("path", str(tmp_path)), ("reason", "for the court")),
        ("/thread", ("thread", "00" * 16)),
        ("/thread/draft", ("thread", "00" * 16), ("text", "to nobody")),
        ("/thread/translation", ("tip", "00" * 32), ("text", "of nothing")),
        ("/file/picture", ("index", "9" * 5000)),
    ]
    for path, *fields in tried:
        answer = pages.post(path, fields, {SESSION_HEADER: secret})
        said = [answer.text]
        while "data-running" in said[-1]:
            said.append(pages.shown("/stick/job", secret))
        assert answer.status != 500, (path, fields, answer.text)
        assert not any("this is a bug" in one for one in said), (path, fields, said)
    assert works(pages, secret)


def test_a_second_tab_and_a_copied_address_are_refused(pages: Pages, hand: Hand) -> None:
    hand.open(pages.url, WORDS)
    assert pages.token not in hand.page.url, "the address line shows no token"
    second = hand.page.context.new_page()
    second.goto(pages.url)
    second.fill("#passphrase", WORDS)
    second.keyboard.press("Enter")
    second.locator("#gone").wait_for(state="visible")
    assert second.locator("[data-screen]").count() == 0
    hand.go("g h", "health")
    assert hand.complaints == []


def test_a_wrong_passphrase_is_said_on_the_page(pages: Pages, hand: Hand) -> None:
    hand.page.goto(pages.url)
    hand.page.fill("#passphrase", "wrong horse")
    hand.page.keyboard.press("Enter")
    hand.until("document.querySelector('#wrong').textContent")
    assert hand.text("#wrong") == "unlocking: the passphrase is wrong"
    hand.page.fill("#passphrase", WORDS)
    hand.run("for (const _ of 'twice') document.querySelector('#unlock').requestSubmit()")  # by somebody impatient
    hand.wait("[data-screen=inbox]")
    hand.go("g h", "health")


def test_a_vault_that_is_away_is_no_bug(filled: Desk, tmp_path: Path) -> None:
    with serving(filled, tmp_path / "scratch") as pages:
        (filled.vault / "vault.key").rename(tmp_path / "away")
        answer = pages.unlock()
        assert (answer.status, answer.text.startswith("opening the vault: there is none in")) == (409, True)
