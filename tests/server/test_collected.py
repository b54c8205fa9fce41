"""The collected line: up to which day an organisation has acknowledged everything, the same for every visitor."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from support.sealed import Organisation, Sent, envelope, inward
from support.server import Here
from tipbox.formats.base import days
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.server.bundles import collected
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.storage.models import Envelope
from tipbox.server.storage.models import Organisation as Known
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.web.app import create_app

pytestmark = pytest.mark.reads_date


def ago(count: int) -> date:
    return days.today() - timedelta(days=count)


class Carrier:
    """Stores Envelopes on days gone by, and acknowledges for an organisation."""

    def __init__(self, server: Here) -> None:
        self.server = server
        self.sequence = 0

    def received(self, day: date, *organisations: Organisation) -> Sent:
        sent = envelope(organisations)
        self.server.upload(sent)
        self.server._store.write(lambda c: c.execute(update(Envelope).where(Envelope.id == sent.id).values(day=day)))
        return sent

    def acknowledge(self, one: Organisation, *sent: Sent, today: date | None = None) -> None:
        self.sequence += 1
        (path,) = write_volumes(self.server.home, one.name, self.server.home.parent / "out")
        outward = Bundle(io.BytesIO(path.read_bytes()), one.id, one.find_key)
        item = item_of("ack", acknowledge([envelope.id for envelope in sent], one.desk))
        carried = inward(self.server.home.parent / "in", one, outward, [item], self.sequence)
        (taken,) = import_bundles(self.server.home, [carried], today=today)
        assert taken.is_complete

    def day(self, one: Organisation) -> date | None:
        statement = select(Known.collected).where(Known.id == one.id)
        return self.server.read(lambda connection: connection.execute(statement).scalar_one())


@pytest.fixture(name="carrier")
def _carrier(server: Here) -> Carrier:
    return Carrier(server)


def test_where_very_many_wait_the_day_is_left_to_a_later_delivery(
    carrier: Carrier, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery does not look at all of them."""
    monkeypatch.setattr(collected, "MOST", 1)
    one = organisations[0]
    sent = [carrier.received(ago(5), one) for _ in range(3)]

    carrier.acknowledge(one, sent[0])
    assert carrier.day(one) is None
    carrier.acknowledge(one, sent[1])
    assert carrier.day(one) == ago(6)


def test_it_is_the_day_before_the_oldest_that_waits(carrier: Carrier, organisations: list[Organisation]) -> None:
    one, other, third = organisations
    oldest, middle = carrier.received(ago(9), one, other), carrier.received(ago(5), one)
    newest = carrier.received(ago(2), one)
    assert carrier.day(one) is None

    carrier.acknowledge(one, middle)
    assert carrier.day(one) == ago(10)
    carrier.acknowledge(one, oldest)
    assert carrier.day(one) == ago(3), "other organisations' slots do not count"
    carrier.acknowledge(one, newest)
    assert carrier.day(one) == ago(1)
    assert carrier.day(other) is None
    assert carrier.day(third) is None


def test_today_is_never_said_to_be_collected(carrier: Carrier, organisations: list[Organisation]) -> None:
    one = organisations[0]
    first = carrier.received(days.today(), one)

    carrier.acknowledge(one, first)

    assert carrier.day(one) == ago(1)


def test_it_never_goes_back(carrier: Carrier, organisations: list[Organisation]) -> None:
    one = organisations[0]
    carrier.acknowledge(one, carrier.received(ago(3), one))
    assert carrier.day(one) == ago(1)
    late, waiting = carrier.received(ago(4), one), carrier.received(ago(30), one)

    carrier.acknowledge(one, late)

    assert carrier.day(one) == ago(1)
    assert waiting is not None


def test_a_tip_that_expired_uncarried_holds_no_day_back(carrier: Carrier, organisations: list[Organisation]) -> None:
    one, home = organisations[0], carrier.server.home
    carrier.received(ago(9), one)
    newest = carrier.received(ago(2), one)
    carrier.acknowledge(one, newest)
    assert carrier.day(one) == ago(10)
    (home / "tipbox.toml").write_text("[retention]\ndays = 1\n", encoding="utf-8")
    assert prune_server(home, today=days.today() + timedelta(days=1)).envelopes == 1

    carrier.acknowledge(one, newest, today=days.today() + timedelta(days=1))

    assert carrier.day(one) == days.today()


def test_a_clock_that_jumped_says_nothing(carrier: Carrier, organisations: list[Organisation]) -> None:
    one = organisations[0]

    carrier.acknowledge(one, carrier.received(ago(3), one), today=days.today() + timedelta(days=20))

    assert carrier.day(one) is None


def test_everybody_is_told_it_in_the_same_bytes(carrier: Carrier, organisations: list[Organisation]) -> None:
    """By the one answer of a moment; no page has it."""
    one = organisations[0]
    app = create_app(Home(carrier.server.home), Config())
    visitors = [app.test_client() for _ in range(2)]
    before = [visitor.get("/api/now").get_json()["collected"] for visitor in visitors]
    assert before[0] == before[1] == {other.id.hex(): None for other in organisations}
    page = visitors[0].get("/en/").data

    carrier.acknowledge(one, carrier.received(ago(3), one))

    fresh = create_app(Home(carrier.server.home), Config())
    after = [fresh.test_client().get("/api/now").data for _ in range(2)]
    assert after[0] == after[1]
    assert json.loads(after[0])["collected"] == {**before[0], one.id.hex(): ago(1).isoformat()}
    assert fresh.test_client().get("/en/").data == page


def test_a_running_server_tells_it_within_a_second_or_so(
    carrier: Carrier, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer that is kept is made again when the day changes."""
    monkeypatch.setattr("tipbox.server.bundles.collected.LOOK_AGAIN", 0)
    client, one = create_app(Home(carrier.server.home), Config()).test_client(), organisations[0]
    assert client.get("/api/now").get_json()["collected"][one.id.hex()] is None

    carrier.acknowledge(one, carrier.received(ago(3), one))

    assert client.get("/api/now").get_json()["collected"][one.id.hex()] == ago(1).isoformat()
