"""Paying the toll: how much a source works, and when it is asked first."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.sealed import envelope, keys_folder, three
from support.server import running
from tipbox.errors import Full, NetworkFailed
from tipbox.formats import toll
from tipbox.formats.base.primitives import sha256
from tipbox.net.http import Connection
from tipbox.source.paying import Payer, Quote
from tipbox.source.upload import Upload

SEED = bytes(range(32))


def quote(price: int) -> Quote:
    return Quote(494_000, SEED, price)


def answer(**members: object) -> bytes:
    """What a server says, with other members."""
    seed = base64.urlsafe_b64encode(SEED).decode().rstrip("=")
    return json.dumps({"hour": 494_000, "seed": seed, "price": 3} | members).encode()


def test_it_pays_what_is_asked_and_the_proof_holds() -> None:
    payer = Payer()
    proof = toll.Proof.parse(payer.pay(quote(1)))

    assert (proof.hour, proof.effort) == (494_000, 1)
    assert proof.holds(toll.password_of(SEED, sha256(payer.token)))


def test_another_upload_has_another_token() -> None:
    payer = Payer()
    first = payer.token
    payer.begin_again()

    assert payer.token != first


def test_above_a_minute_of_a_phone_it_asks_and_a_no_is_final() -> None:
    asked: list[int] = []

    def refuse(effort: int) -> bool:
        asked.append(effort)
        return False

    with pytest.raises(Full, match="150 seconds of a phone"):
        Payer(refuse).pay(quote(150))
    with pytest.raises(Full):
        Payer().pay(quote(90))
    assert asked == [150]


@pytest.mark.parametrize("seeds", [[bytes([number]) * 32 for number in range(5)], [SEED] * 5], ids=["new", "one"])
def test_it_works_three_times_in_an_hour_for_a_server_that_has_no_end(seeds: list[bytes]) -> None:
    now = 0.0
    payer = Payer(now=lambda: now)
    for seed in seeds[:3]:
        payer.pay(Quote(494_000, seed, 1))

    with pytest.raises(Full, match="again and again"):
        payer.pay(Quote(494_000, seeds[3], 1))
    now += 3601
    payer.pay(Quote(494_000, seeds[4], 1))


def test_it_goes_on_as_often_as_the_price_rises() -> None:
    payer = Payer()
    proofs = [toll.Proof.parse(payer.pay(quote(price))) for price in (1, 3, 8)]

    assert [proof.effort for proof in proofs] == [1, 3, 8]


def test_a_quote_is_read_as_it_is_written() -> None:
    assert Quote.parse(answer()) == quote(3)


@pytest.mark.parametrize(
    "members",
    [
        {"price": 0}, {"price": 4}, {"price": 3.0}, {"price": True}, {"price": "3"}, {"price": 10**6},
        {"hour": -1}, {"hour": 10**10}, {"hour": "1"}, {"hour": None},
        {"seed": ""}, {"seed": "AAAA"}, {"seed": 3}, {"seed": "A" * 44},
    ],
)  # fmt: skip
def test_a_quote_that_makes_no_sense_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(NetworkFailed):
        Quote.parse(answer(**members))


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{}", b"\xff", b'{"hour": 1}'])
def test_what_is_no_quote_is_refused(data: bytes) -> None:
    with pytest.raises(NetworkFailed):
        Quote.parse(data)


@pytest.mark.reads_date
def test_an_upload_pays_a_server_whose_bucket_is_less_than_half_full(tmp_path: Path) -> None:
    organisations = three()
    keys = keys_folder(tmp_path / "keys", organisations)
    settings = {"quota_letters_burst": "4", "quota_letters_per_second": "0.0001"}
    steps: list[int] = []

    class Bar:
        def __enter__(self) -> Callable[[int], None]:
            return steps.append

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

    with running(tmp_path / "home", keys, settings=settings) as server:
        url = "http://{}:{}".format(*server.address)
        for _ in range(3):  # it begins with three of four, and two bring it to a quarter
            with Connection(url) as connection:
                Upload(connection, Payer(bar=lambda _: Bar())).send_text(envelope(organisations).whole)
    assert steps == [1] * toll.PUZZLES, "the third one paid"
