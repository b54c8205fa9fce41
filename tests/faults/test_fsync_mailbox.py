"""Replies: nothing is taken from a desk, or deleted for a source, before that is durable."""

from __future__ import annotations

from pathlib import Path

from faults import strace_log
from faults.tracing import traced
from support.client import Client
from support.sealed import Box, Organisation, inward, keys_folder, three
from support.server import start
from tipbox.server.bundles.export import write_volumes


def test_deposits_and_deletings_are_answered_once_they_are_durable(tmp_path: Path) -> None:
    organisations: list[Organisation] = three()
    one = organisations[0]
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), courier=True)
    try:
        box = Box()
        small, large = box.reply(), box.reply(300_000)
        outward = one.read(write_volumes(server.home, one.name, tmp_path / "out")[0])
        bundle = inward(tmp_path / "in", one, outward, [box.item(small), box.item(large)]).read_bytes()
        pids = [worker.pid for worker in server.workers()]
        with traced(pids, strace_log.OPTIONS, tmp_path / "trace"):
            with Client(server, None, str(server.courier)) as courier:
                assert courier.request("POST", "/courier/deliver", bundle).json == {"sequence": 1, "whole": True}
            with server.client() as client:
                assert len(client.mailbox(box).entries) == 2
                client.delete(box, small, large)
                client.delete(box, small)
                assert client.mailbox(box).entries == ()
    finally:
        server.kill()
    answers = strace_log.read(tmp_path / "trace", server.home)
    wal, blobs = f"{server.home}/tipbox.db-wal", f"{server.home}/blobs"

    assert {answer.request: answer.not_durable for answer in answers if answer.not_durable} == {}
    (delivered,) = (answer for answer in answers if answer.request.startswith("POST /courier/deliver"))
    assert {wal, blobs} <= set(delivered.synced)
    assert any(path.startswith(f"{blobs}/") for path in delivered.synced)
    deleted = [answer for answer in answers if answer.request.startswith("POST /api/mailbox/delete")]
    assert len(deleted) == 2
    for answer in deleted:  # the second finds nothing, and costs the same
        assert wal in answer.written
        assert {wal, blobs} <= set(answer.synced)
