"""The main job, end to end on one machine: three organisations, a server, a tip, three desks, an answer.

Every step is one of the real commands, run as a program of its own; nothing here knows how any of them works. All of
it lies in one private folder that is removed at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import IO, Any, Final

from tipbox.errors import Exit, TipboxError
from tipbox.formats.base.primitives import random_bytes

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
WORDS: Final = "На площади стреляли. Я снимал из окна."  # noqa: RUF001 (Russian)
QUESTION: Final = "Когда это было? Сохраните оригинал."
FOLLOW_UP: Final = "Пятого января, около шести вечера."
MESSAGE: Final = f"{WORDS}\nҚазір қауіпсіз жердемін.\n".encode()  # noqa: RUF001 (Kazakh)
PICTURE: Final = "площадь.png"
_WIDTH: Final = 320
_HEIGHT: Final = 200


@dataclass(frozen=True)
class Organisation:
    """Who takes part."""

    name: str
    full_name: str
    country: str
    languages: tuple[str, ...]


ORGANISATIONS: Final = (
    Organisation("fidh", "International Federation for Human Rights", "FR", ("fr", "en")),
    Organisation("kibhr", "Kazakhstan International Bureau for Human Rights", "KZ", ("kk", "ru")),
    Organisation("ili", "International Legal Initiative", "KZ", ("kk", "ru")),
)


class DemoFailed(TipboxError):
    """A step of the demo did not do what it should."""

    code = "demo"
    exit_code = Exit.BUG


def picture() -> bytes:
    """A PNG that no other file on this machine is like: coloured bands with noise."""
    noise = random_bytes(_WIDTH * _HEIGHT)
    rows = b"".join(
        b"\x00" + b"".join(bytes((30 * (y // 25), x % 256, noise[y * _WIDTH + x] // 4)) for x in range(_WIDTH))
        for y in range(_HEIGHT)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    size = _WIDTH.to_bytes(4) + _HEIGHT.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Demo:
    """One run in one folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._secret = folder / "passphrase"
        self._home = folder / "server"
        self._keys = folder / "keys"
        self._access_code = folder / "access-code"

    def main_job(self, url: str) -> None:
        """From the sealed tip to its removal from the server, and the talk that follows."""
        self._say("4. A source seals a message and a picture for all three, and sends them.")
        sent = self._send(url)
        self._say(f"   Stored as {sent['tip'][:16]}…; the code for the answer: {sent['passphrase']}")
        self._say("5. The server's folder is searched for the words, the name and the picture.")
        self._search()
        for number, organisation in enumerate(ORGANISATIONS, 1):
            self._say(f"{5 + number}. {organisation.name}: Bundle out, opened on the desk, acknowledgement back.")
            self._carry(organisation.name, sent["tip"])
            self._stored(number < len(ORGANISATIONS))
        self._say("9. All three have carried it: the server has it no longer.")
        writer = ORGANISATIONS[1]
        self._say(f"10. {writer.name} answers with a file; the next Bundle brings the reply to the source's mailbox.")
        self._answer(writer.name, sent["tip"])
        self._say("11. The source comes back with nothing but the code, reads, and deletes what it has read.")
        self._read(url, writer.name, sent["passphrase"])
        self._say("12. It writes back; on the desk, all of it is one thread.")
        self._follow_up(url, writer.name, sent["tip"])

    def make_keys(self) -> None:
        """Each organisation's ceremony."""
        self._say("1. Three organisations make their keys, each on its own desk:")
        self._secret.write_text("only a demo: four quiet words\n")
        self._secret.chmod(0o600)
        for organisation in ORGANISATIONS:
            vault = self._vault(organisation.name)
            languages = [argument for language in organisation.languages for argument in ("--language", language)]
            names = ["--org", organisation.name, "--name", organisation.full_name, "--country", organisation.country]
            made = self._tipbox("keys", "init", "--vault", vault, *names, *languages, *self._unlock, "--json")
            self._say(f"   {organisation.name} ({organisation.full_name}), identity {made['check_digits']}")
        self._say("2. Each publishes a key manifest; anyone can check them.")
        for organisation in ORGANISATIONS:
            vault, out = self._vault(organisation.name), self._keys / f"{organisation.name}.json"
            self._tipbox("keys", "publish", "--vault", vault, "--out", out, *self._unlock, "--json")
        self._tipbox("keys", "verify", "--keys", self._keys, "--json")

    @contextmanager
    def server(self) -> Iterator[str]:
        """A server in the background; yields its address."""
        # A free port of the kernel's choice: the demo runs beside a server that is already there.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        bind = f"127.0.0.1:{port}"
        self._say(f"3. A server starts on {bind}. It has the public keys and no private one.")
        command = ("server", "run", "--home", self._home, "--keys", self._keys, "--bind", bind)
        with (self._folder / "server.log").open("wb") as log, _program(command, log, log) as process:
            _wait(process, f"http://{bind}/")
            yield f"http://{bind}"

    def _send(self, url: str) -> dict[str, str]:
        (self._folder / "message.txt").write_bytes(MESSAGE)
        (self._folder / PICTURE).write_bytes(picture())
        files: list[str | Path] = ["--message-file", self._folder / "message.txt", self._folder / PICTURE]
        sent: dict[str, str] = self._tipbox("source", "send", url, "--keys", self._keys, *files, "--json")
        return sent

    def _search(self) -> None:
        wanted = [text.encode(code) for text in (WORDS, PICTURE) for code in ("utf-8", "utf-16-le")]
        # From behind the head, which is the same in every picture of this size.
        wanted.append((self._folder / PICTURE).read_bytes()[100:164])
        files = [path for path in self._home.rglob("*") if path.is_file()]
        for path in files:
            data = path.read_bytes()
            if any(words in data for words in wanted):
                raise DemoFailed("the demo: the server's folder holds plain text")
        self._say(f"   Nothing in {len(files)} files: the server holds ciphertext only.")

    def _carry(self, name: str, tip: str) -> None:
        stick, vault, out = self._folder / f"stick-{name}", self._vault(name), self._folder / f"opened-{name}"
        self._tipbox("server", "export", "--home", self._home, "--to", name, "--out", stick, "--json")
        self._tipbox("desk", "import", "--vault", vault, *self._unlock, "--copies", "1", stick, "--json")
        listed = self._tipbox("desk", "list", "--vault", vault, *self._unlock, "--json")
        if [row["id"] for row in listed] != [tip]:
            raise DemoFailed("the demo: the desk does not list the tip")
        self._tipbox("desk", "show", "--vault", vault, *self._unlock, tip, "--out", out, "--json")
        pictures = [path.read_bytes() for path in (out / "files").iterdir()]
        if (out / "message.txt").read_bytes() != MESSAGE or pictures != [(self._folder / PICTURE).read_bytes()]:
            raise DemoFailed("the demo: what was opened is not what was sent")
        self._say("   Text and picture are the same to the last bit.")
        outbox = stick / "outbox.bundle"
        self._tipbox("desk", "outbox", "--vault", vault, *self._unlock, "--out", outbox, "--json")
        self._tipbox("server", "import", "--home", self._home, outbox, "--json")

    def _answer(self, name: str, tip: str) -> None:
        question, form = self._folder / "question.txt", self._folder / "form.txt"
        question.write_text(QUESTION, encoding="utf-8")
        form.write_bytes(random_bytes(1000))
        vault, outbox = self._vault(name), self._folder / "reply.bundle"
        answer: list[str | Path] = ["--message-file", question, form]
        self._tipbox("desk", "reply", "--vault", vault, *self._unlock, tip, *answer, "--json")
        self._tipbox("desk", "outbox", "--vault", vault, *self._unlock, "--out", outbox, "--json")
        self._tipbox("server", "import", "--home", self._home, outbox, "--json")

    def _read(self, url: str, name: str, access_code: str) -> None:
        self._access_code.write_text(access_code + "\n", encoding="utf-8")
        self._access_code.chmod(0o600)
        saved = self._folder / "read"
        unlock: list[str | Path] = ["--keys", self._keys, "--passphrase-file", self._access_code]
        inbox = [*unlock, "--out", saved, "--delete"]
        replies = self._tipbox("source", "inbox", url, *inbox, "--json")["replies"]
        files = [path.read_bytes() for path in saved.rglob("*form.txt")]
        if [(reply["organisation"], reply["text"]) for reply in replies] != [(name, QUESTION)] or files != [
            (self._folder / "form.txt").read_bytes()
        ]:
            raise DemoFailed("the demo: what the source reads is not what was answered")
        self._say(f"   From {name}, proved by a key that only the two share: {replies[0]['text']}")

    def _follow_up(self, url: str, name: str, tip: str) -> None:
        text = self._folder / "follow-up.txt"
        text.write_text(FOLLOW_UP, encoding="utf-8")
        unlock: list[str | Path] = ["--keys", self._keys, "--passphrase-file", self._access_code]
        follow_up = [*unlock, "--to", name, "--message-file", text]
        self._tipbox("source", "send", url, *follow_up, "--json")
        stick, vault = self._folder / "stick-again", self._vault(name)
        self._tipbox("server", "export", "--home", self._home, "--to", name, "--out", stick, "--json")
        self._tipbox("desk", "import", "--vault", vault, *self._unlock, "--copies", "1", stick, "--json")
        talk = self._tipbox("desk", "thread", "--vault", vault, *self._unlock, tip, "--json")["messages"]
        said = {(message["kind"], message["state"], message["text"]) for message in talk}
        if {("reply", "delivered", QUESTION)} != {entry for entry in said if entry[0] == "reply"} or FOLLOW_UP not in {
            text for kind, _, text in said if kind == "tip"
        }:
            raise DemoFailed("the demo: the desk does not show one thread with its reply delivered")
        self._say("   Tip, reply (delivered) and follow-up lie in one thread.")

    def _stored(self, expected: bool) -> None:  # noqa: FBT001 (one fact, named at the call)
        state = self._tipbox("server", "status", "--home", self._home, "--json")
        if (state["envelopes"] != "0") is not expected:
            raise DemoFailed("the demo: the server removed the tip too early, or not at all")

    def _vault(self, name: str) -> Path:
        return self._folder / f"desk-{name}"

    @property
    def _unlock(self) -> list[str | Path]:
        return ["--passphrase-file", self._secret]

    def _tipbox(self, *arguments: str | Path) -> Any:
        with _program(arguments, subprocess.PIPE, subprocess.PIPE) as process:
            out, said = process.communicate()
        if process.returncode:
            raise DemoFailed(f"the demo: tipbox {' '.join(map(str, arguments[:2]))} failed: {said.decode().strip()}")
        return json.loads(out)


_PROGRAM: Final = (sys.executable, "-m", "tipbox")
_ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that ask to stop."""


@contextmanager
def _program(arguments: Sequence[str | Path], out: int | IO[bytes], said: int | IO[bytes]) -> Iterator[Popen[bytes]]:
    """A command that runs, and that is ended however the demo goes on.

    Asked to stop while it is being started, the demo would know of no program: that one would go on, and make anew
    what the demo has removed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    try:
        process = Popen(
            [*_PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=said,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends the program in order
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),  # noqa: PLW1509 (no threads here)
        )
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield process
    finally:
        _stop(process)


def _wait(process: Popen[bytes], url: str) -> None:
    # No proxy that the environment names: it would be asked for this machine's own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with opener.open(url, timeout=START_SECONDS) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise DemoFailed(f"the demo: the server answers {error.code}") from error
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed("the demo: the server does not start; run tipbox server run by hand") from error
            time.sleep(0.1)
        else:
            return


def _stop(process: Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with its workers, which outlive a killed parent
        process.wait()


def run(say: Callable[[str], None], *, once: bool) -> None:
    """Run the demo; unless ``once``, keep the server up afterwards until the program is interrupted.

    Raises:
        DemoFailed: a step did not do what it should.
    """
    with tempfile.TemporaryDirectory(prefix="tipbox-demo-") as folder:
        demo = Demo(Path(folder), say)
        demo.make_keys()
        with demo.server() as url:
            demo.main_job(url)
            if not once:
                say(f"The page for sources is at {url}/ ; stop with Ctrl-C.")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
