"""The thread's view: all that one source and this organisation have said, in the order of days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tipbox.desk.replies import letter_of
from tipbox.desk.vault.records import Organisation, Reply, ReplyText, Tip, TipFile
from tipbox.desk.vault.vault import Vault


def thread_of(vault: Vault, organisation: Organisation, tip: Tip) -> dict[str, Any]:
    """The thread of a tip as ``desk thread --json`` prints it. Within a day: first the tips, then the replies."""
    said = [
        *(
            (found.received, 0, 0, found.id, _tip(vault, found))
            for found in Tip.all(vault)
            if found.thread == tip.thread
        ),
        *(
            (reply.day, 1, reply.number, reply.id, _reply(vault, reply))
            for reply in Reply.all(vault)
            if reply.thread == tip.thread
        ),
    ]
    said.sort(key=lambda entry: entry[:4])
    return {
        "messages": [entry[4] for entry in said],
        "organisation": organisation.name,
        "thread": tip.thread.hex(),
    }


def _files(files: tuple[TipFile, ...]) -> list[dict[str, Any]]:
    return [{"name": file.name, "size": file.size} for file in files]


def _tip(vault: Vault, tip: Tip) -> dict[str, Any]:
    return {
        "day": tip.received.isoformat(),
        "files": _files(tip.files),
        "id": tip.id.hex(),
        "kind": "tip",
        "state": tip.state,
        "text": letter_of(vault, tip).message.decode(errors="replace"),
    }


def _reply(vault: Vault, reply: Reply) -> dict[str, Any]:
    text = ReplyText.find(vault, reply.id)
    return {
        "code": reply.code,
        "day": reply.day.isoformat(),
        "files": _files(reply.files),
        "id": reply.id.hex(),
        "kind": "reply",
        "state": reply.state,
        "text": text.message.decode(errors="replace") if text else "",
    }


def mark_read(vault: Vault, thread: bytes) -> None:
    """Record that staff has read all tips of a thread. It changes nothing that leaves the desk."""
    _set(vault, thread, "opened", only=("new",))


def close(vault: Vault, thread: bytes) -> int:
    """Set aside a thread: how many tips it has. A follow-up that comes later is still new."""
    return _set(vault, thread, "closed", only=("new", "opened", "answered", "closed"))


def _set(vault: Vault, thread: bytes, state: str, only: tuple[str, ...]) -> int:
    with vault.transaction():
        found = [tip for tip in Tip.all(vault) if tip.thread == thread and tip.state in only]
        for tip in found:
            replace(tip, state=state).save(vault)
    return len(found)
