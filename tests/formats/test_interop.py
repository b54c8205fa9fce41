"""Live, between the two languages: what one seals the other opens, bit for bit. Vectors cannot show this."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from support.node import Node
from tipbox.errors import NotForYou, TipboxError
from tipbox.formats import manifest as keys
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, xwing_public
from tipbox.formats.envelopes import body, envelope, header, letter
from tipbox.formats.envelopes.letter import FileEntry, Letter

SIZES = (0, 1, 65535, 65536, 65537, 200_000)
DAY = date(2026, 11, 23)
DESK = SigningKey(bytes(32)).verify_key.encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module", name="node")
def _node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node.build(tmp_path_factory.mktemp("interop"))
    yield node
    node.close()


class Organisation:
    """An organisation with a receiving key."""

    def __init__(self) -> None:
        self.id, self.seed = random_bytes(16), new_seed()
        self.public = xwing_public(self.seed)
        self.key = keys.key_id(self.public)


class World:
    """Three organisations and a source, made once."""

    def __init__(self) -> None:
        self.organisations = [Organisation() for _ in range(3)]
        self.secrets: Secrets = AccessCode.generate().secrets()


@pytest.fixture(scope="module", name="world")
def _world() -> World:
    return World()


def files_of(size: int) -> list[tuple[FileEntry, bytes]]:
    """A file of ``size`` bytes between an empty one and a small one, named as people name files."""
    return [
        (FileEntry("пусто.txt", 0, "text/plain"), b""),
        (FileEntry("../фото 😀\n.jpg", size, "image/jpeg"), random_bytes(size)),
        (FileEntry("3", 3, ""), b"\x00\x01\x00"),
    ]


def open_in_python(data: bytes, organisation: bytes, seed: bytes) -> tuple[Letter, list[bytes], bytes, str]:
    reading = envelope.read_envelope(io.BytesIO(data))
    opened = header.open_slot(reading.header, organisation, lambda _: seed)
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    envelope_id = envelope.EnvelopeId(reading.header.encoded, reading.letter)
    files = [b""] * len(found.files)

    def parts() -> Iterator[bytes]:
        for part in reading.parts:
            envelope_id.add(part)
            yield part

    opened_body = body.open_body(reading.header, found.body_key, parts())
    for index, piece in body.split_files(opened_body, [file.size for file in found.files]):
        files[index] += piece
    return found, files, opened.pair_key, envelope_id.digest().hex()


def seal_in_node(
    node: Node, to: list[dict[str, Any]], message: bytes, files: list[tuple[FileEntry, bytes]], **letter: Any
) -> dict[str, Any]:
    given = {"kind": "tip", "language": "ru", "mailbox": "", "replyKey": "", "run": 2, **letter}
    listed = [{"name": entry.name, "type": entry.type, "data": b64(data)} for entry, data in files]
    return node.ask("seal", recipients=to, message=b64(message), files=listed, **given)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_node_seals_python_opens(node: Node, world: World, size: int, slots: int) -> None:
    """The client's own way: BodyReader, then runs of parts. With three slots, one is a filler."""
    chosen = world.organisations[: max(1, slots - 1)]
    to = [
        {
            "organisation": one.id.hex(),
            "key": one.key.hex(),
            "publicKey": b64(one.public),
            "pairKey": world.secrets.pair_key(one.id).hex() if one in chosen else None,
        }
        for one in world.organisations[:slots]
    ]
    files, message = files_of(size), "Сообщение 😀\r\n\x00".encode()
    secrets = world.secrets
    mailbox = {"mailbox": b64(secrets.mailbox_address), "replyKey": b64(secrets.reply_public)}
    sealed = seal_in_node(node, to, message, files, **mailbox)
    data = base64.b64decode(sealed["envelope"])

    for one in chosen:
        found, contents, pair_key, envelope_id = open_in_python(data, one.id, one.seed)
        assert contents == [content for _, content in files]
        assert found.files == tuple(entry for entry, _ in files)
        assert (found.message, found.kind, found.language) == (message, "tip", "ru")
        assert (found.mailbox, found.reply_key) == (secrets.mailbox_address, secrets.reply_public)
        assert pair_key == secrets.pair_key(one.id)
        assert envelope_id == sealed["id"]
    for one in world.organisations[len(chosen) : slots]:
        with pytest.raises(NotForYou):
            open_in_python(data, one.id, one.seed)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_python_seals_node_opens(node: Node, world: World, size: int, slots: int) -> None:
    chosen = world.organisations[: max(1, slots - 1)]
    to = [
        envelope.Recipient(one.id, one.key, one.public, world.secrets.pair_key(one.id) if one in chosen else None)
        for one in world.organisations[:slots]
    ]
    files, message = files_of(size), b"caf\xe9 \xff"
    made = Letter(message, tuple(entry for entry, _ in files), random_bytes(32), random_bytes(16), language="kk-Cyrl")
    sealed = envelope.seal(to, made)
    parts = list(sealed.parts((io.BytesIO(content), entry.size) for entry, content in files))
    data = sealed.header.encoded + sealed.letter + b"".join(parts)
    envelope_id = envelope.EnvelopeId(sealed.header.encoded, sealed.letter)
    for part in parts:
        envelope_id.add(part)

    for one in chosen:
        found = node.ask("open", envelope=b64(data), organisation=one.id.hex(), seed=one.seed.hex())
        assert found == {
            "message": b64(message),
            "files": [
                {"name": entry.name, "type": entry.type, "size": entry.size, "data": b64(content)}
                for entry, content in files
            ],
            "kind": "tip",
            "language": "kk-Cyrl",
            "mailbox": "",
            "replyKey": "",
            "pairKey": world.secrets.pair_key(one.id).hex(),
            "id": envelope_id.digest().hex(),
        }
    for one in world.organisations[len(chosen) : slots]:
        found = node.ask("open", envelope=b64(data), organisation=one.id.hex(), seed=one.seed.hex())
        assert found == {"error": "not-for-you"}


def test_reply_from_a_desk_opens_in_the_client(node: Node, world: World) -> None:
    """One slot under the mailbox address, to the reply key."""
    secrets, pair_key = world.secrets, random_bytes(32)
    slot = envelope.Recipient(
        secrets.mailbox_address[:16], keys.key_id(secrets.reply_public), secrets.reply_public, pair_key
    )
    sealed = envelope.seal([slot], Letter("Спасибо.".encode(), (), random_bytes(32), random_bytes(16), kind="reply"))
    found = node.ask(
        "open",
        envelope=b64(sealed.header.encoded + sealed.letter),
        organisation=secrets.mailbox_address[:16].hex(),
        seed=secrets.reply_seed.hex(),
    )

    assert (found["message"], found["kind"], found["pairKey"]) == (b64("Спасибо.".encode()), "reply", pair_key.hex())


@pytest.mark.parametrize("made_by", ["node", "python"])
def test_passphrase_is_the_same_person_in_both(node: Node, world: World, made_by: str) -> None:
    organisation = world.organisations[0].id
    digits = None if made_by == "node" else AccessCode.generate().digits()
    found = node.ask("passphrase", digits=digits, organisation=organisation.hex())
    passphrase = AccessCode.parse(found["digits"])
    secrets = passphrase.secrets()

    assert found == {
        "digits": passphrase.digits(),
        "mailboxAddress": secrets.mailbox_address.hex(),
        "replyPublic": b64(secrets.reply_public),
        "pairKey": secrets.pair_key(organisation).hex(),
    }
    assert digits in (None, found["digits"])


def test_manifest_signed_in_python_reads_in_the_client(node: Node, world: World) -> None:
    receiving = [
        keys.ReceivingKey(DAY + timedelta(14 * at), DAY + timedelta(14 * at + 14), one.public)
        for at, one in enumerate(world.organisations)
    ]
    made = keys.Manifest(
        "alpha", "Альфа", "KZ", ("kk", "ru"), b"", DESK, DAY, DAY + timedelta(42), (1, 1), tuple(receiving)
    ).signed_by(SigningKey.generate())
    today = DAY + timedelta(20)
    found = node.ask("manifest", file=b64(made.encode()), day=today.isoformat())

    assert found == {"file": b64(made.encode()), "id": made.id.hex(), "key": made.current_key(today).id.hex()}
    late = node.ask("manifest", file=b64(made.encode()), day=(DAY + timedelta(42)).isoformat())
    assert late == {"error": "expired"}


@pytest.mark.parametrize("at", [9, 200, 5000])
def test_changes_have_the_same_name_in_both(node: Node, world: World, at: int) -> None:
    """A bit of the header's count, of a slot, of the letter: the same code in both languages."""
    one = world.organisations[0]
    sealed = envelope.seal(
        [envelope.Recipient(one.id, one.key, one.public, random_bytes(32))],
        Letter(b"text", (), random_bytes(32), random_bytes(16)),
    )
    data = bytearray(sealed.header.encoded + sealed.letter)
    data[at] ^= 0x80
    found = node.ask("open", envelope=b64(bytes(data)), organisation=one.id.hex(), seed=one.seed.hex())
    with pytest.raises(TipboxError) as caught:
        open_in_python(bytes(data), one.id, one.seed)

    assert found == {"error": caught.value.code}
