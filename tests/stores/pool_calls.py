"""Runs both applications in this process, as a worker does, and prints what the threads of its pool call of gevent.

``python pool_calls.py HOME KEYS``, settings in the environment; ``--unmended`` patches all that gevent can, as
gunicorn does. The answer is JSON: ``called``, functions of gevent that ran in a thread of the pool, and ``loops``, how
many times such a thread had a loop of its own afterwards.
"""

from __future__ import annotations

import sys

from gevent import monkey

from tipbox.server.process import gevent_patch

if "--unmended" in sys.argv:
    monkey.patch_all()
else:
    gevent_patch.patch()

# Only now, as in the master: what is imported before keeps the unpatched parts.
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from gevent._hub_local import get_hub_if_exists

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.client import bearer
from support.sealed import Box, Organisation, Sent, envelope, inward
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import encode_delete, encode_piece, encode_tokens
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.executors import Outcome, RunGroup, WorkerThreads
from tipbox.server.web.app import create_app
from tipbox.server.web.courier_api import create_courier_app

T = TypeVar("T")
LARGE = 300_000
called: set[str] = set()
loops = 0


def note(frame: FrameType, event: str, argument: Any) -> None:
    """A profiler: whatever belongs to a module of gevent's."""
    if event == "call":
        owner, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname
    elif event == "c_call":
        owner = str(getattr(argument, "__module__", None) or type(getattr(argument, "__self__", None)).__module__)
        name = argument.__qualname__
    else:
        return
    if owner.partition(".")[0] == "gevent":
        called.add(f"{owner}.{name}")


def watched(function: Callable[..., T], *arguments: Any) -> T:
    global loops  # noqa: PLW0603 (threads of gevent's have no other place that all share)
    sys.setprofile(note)
    try:
        return function(*arguments)
    finally:
        sys.setprofile(None)
        loops += get_hub_if_exists() is not None


class Watched(WorkerThreads):
    """The threads of a worker, with a profiler in each."""

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        return super().disk(partial(watched, function), *arguments)

    def _run(self, run: RunGroup, items: list[Any]) -> Sequence[Outcome]:
        return super()._run(partial(watched, run), items)


def main(home: Path, keys: Path, secrets: Path) -> None:
    one = load(secrets)
    config = prepare_server(home, keys)
    threads = Watched()
    sources = create_app(Home(home), config, threads=threads).test_client()
    couriers = create_courier_app(Home(home), config, threads=threads).test_client()

    def ask(client: Any, method: str, path: str, body: bytes | None = None, sent: Sent | None = None) -> Any:
        answer = client.open(path, method=method, data=body, headers=bearer(sent.token) if sent else {})
        assert answer.status_code in {200, 201, 206}, (path, answer.data)
        return answer

    text, files = envelope([one]), envelope([one], LARGE)
    ask(sources, "PUT", "/api/envelope", text.start, text)
    ask(sources, "PUT", "/api/envelope", files.start, files)
    ask(sources, "PUT", "/api/envelope/parts/0", b"".join(files.parts), files)
    ask(sources, "GET", "/api/envelope", None, files)
    ask(sources, "POST", "/api/envelope/finish", files.end, files)
    ask(sources, "GET", "/en/send")
    ask(sources, "GET", "/api/now")
    listing = f"/courier/bundles/{one.name}"
    (volume, *_) = ask(couriers, "GET", listing).json["volumes"]
    ask(couriers, "GET", listing)
    path = home / "fetched"
    path.write_bytes(ask(couriers, "GET", f"{listing}/{volume['name']}").data)
    box, reply = Box(), Box().reply()
    reply = box.reply(LARGE)
    ack = item_of("ack", acknowledge([text.id], one.desk))
    outward = one.read(path)
    delivery = inward(home / "delivery", one, outward, [ack, box.item(reply)], head=bytes(32))
    assert ask(couriers, "POST", "/courier/deliver", delivery.read_bytes()).json["whole"]
    ask(couriers, "GET", listing)
    ask(sources, "POST", "/api/mailbox", encode_tokens(box.tokens))
    ask(sources, "POST", "/api/mailbox/piece", encode_piece(box.tokens, reply.id, 0))
    ask(sources, "POST", "/api/mailbox/delete", encode_delete(box.tokens, [reply.id]))
    sys.stdout.write(json.dumps({"called": sorted(called), "loops": loops}))


def load(secrets: Path) -> Organisation:
    value = json.loads(secrets.read_text(encoding="ascii"))
    keys = {name: SigningKey(bytes.fromhex(value[name])) for name in ("identity", "desk")}
    return Organisation(value["name"], keys["identity"], keys["desk"], bytes.fromhex(value["seed"]))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
