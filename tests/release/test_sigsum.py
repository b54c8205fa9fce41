"""Proofs of a transparency log: Sigsum's own example, and logs of our own in every size below 20."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from nacl.signing import SigningKey

from tipbox.release.release_errors import NotLogged
from tipbox.release.signers import LogPolicy
from tipbox.release.sigsum_proof import check_proof

# From sigsum-go, pkg/proof/proof_test.go, TestVerify (BSD-2-Clause, The Sigsum Project Authors).
PROOF = b"""version=2
log=7c5fafc796c201e0fcd7567c5033a2777ec28363f54ea0ba97b57bece0d96acd
leaf=8a578b9649ba01b7d29dd557906975d68a3aec50e3f9c08690420b8c6426856d 79b489a38548a67d78f06221b014d41be58b703237d17b4f203f0dd4ead9e2597149c2f118894581ce7473a61fa880716af6ff2138bade2cecc4b297099bf104

size=4
root_hash=3ddc56fd46e71e517b6936b977a457da7d398108141fcdf5c8386cdd724ab7a8
signature=ccbdd8c784726b732b8edd2039fbad5506e4acccd56e3e5d86c0ee109b3d2662e6881fe3d09fc48f9ddd31494463c5ec44926ff9158785ad1dd9b5d6434b0804
cosignature=bd8385aa82e07c3e1e297a1600c12bb25ce7a9490b5c1287ec30e09ac4c8b884 1683202758 e8d6c447d7847d5c1431ef86f8c60fa0cbacd975388b2a8f202fe4b0f9d0d544989c9d9351752d86aae2df72b9d7135b6b09de2ccaa6d68edf638105d69be609

leaf_index=3
node_hash=61010ae798308f5b97237615ab8c1b14f2c782c37616e97d0a170b617bc7a4ce
node_hash=a5c3752be610d605ce5c64ee2e28ee5b94a1cc0a68742f18f24c9b5c82d07298
"""  # noqa: E501 (as it was published)
MESSAGE = b"foo-4\n".rjust(32)


def key(ssh: str) -> bytes:
    return base64.b64decode(ssh)[-32:]


LOG = key("AAAAC3NzaC1lZDI1NTE5AAAAIKwmwKhVrEUaZTlHjhoWA4jwJLOF8TY+/NpHAXAHbAHl")
SUBMITTER = key("AAAAC3NzaC1lZDI1NTE5AAAAIMdLcxVjCAQUHbD4jCfFP+f8v1nmyjWkq6rXiexrK8II")
WITNESS = key("AAAAC3NzaC1lZDI1NTE5AAAAIMvjV+a0ZASecDt75siSARk6zCoYwJWwaRqvULmx4VeK")
POLICY = LogPolicy((LOG,), (WITNESS,), 1)


def test_the_published_example_holds() -> None:
    check_proof(PROOF, MESSAGE, [SUBMITTER], POLICY)


@pytest.mark.parametrize(
    ("submitter", "policy"),
    [
        (WITNESS, POLICY),
        (SUBMITTER, LogPolicy((WITNESS,), (WITNESS,), 1)),
        (SUBMITTER, LogPolicy((LOG,), (SUBMITTER,), 1)),
    ],
)
def test_other_keys_do_not(submitter: bytes, policy: LogPolicy) -> None:
    with pytest.raises(NotLogged):
        check_proof(PROOF, MESSAGE, [submitter], policy)


def test_nothing_in_it_can_be_changed() -> None:
    for position in range(len(PROOF)):
        changed = bytearray(PROOF)
        changed[position] ^= 1
        with pytest.raises(NotLogged):
            check_proof(bytes(changed), MESSAGE, [SUBMITTER], POLICY)
    lines = PROOF.splitlines(keepends=True)
    for number in range(len(lines)):
        for spoilt in (lines[:number] + lines[number + 1 :], lines[: number + 1] + lines[number:]):
            if b"cosignature" in lines[number] and len(spoilt) > len(lines):
                continue  # Sigsum's own reader refuses it; twice the same witness is one witness here
            with pytest.raises(NotLogged):
                check_proof(b"".join(spoilt), MESSAGE, [SUBMITTER], POLICY)
    for spoilt_proof in (b"", b"\n", PROOF[:-1], PROOF + b"\n", PROOF.replace(b"=3\n", b"=03\n"), PROOF.upper()):
        with pytest.raises(NotLogged):
            check_proof(spoilt_proof, MESSAGE, [SUBMITTER], POLICY)
    with pytest.raises(NotLogged):
        check_proof(PROOF, bytes(32), [SUBMITTER], POLICY)


# --- a log of our own ------------------------------------------------------------------------------------------------

OWN_LOG, OWNER, SEES = (SigningKey(bytes([number] * 32)) for number in (1, 2, 3))


def public(one: SigningKey) -> bytes:
    return one.verify_key.encode()


def root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, in the words of the RFC."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*path(index, leaves[:split]), root(leaves[split:])]
    return [*path(index - split, leaves[split:]), root(leaves[:split])]


def proof(message: bytes, index: int, size: int) -> bytes:
    """What a log of this size answers for the leaf at ``index``."""

    def leaf(one: bytes) -> bytes:
        checksum = sha256(one).digest()
        signature = OWNER.sign(b"sigsum.org/v1/tree-leaf\x00" + checksum).signature
        return checksum + signature + sha256(public(OWNER)).digest()

    leaves = [leaf(message if number == index else bytes([number] * 32)) for number in range(size)]
    top, log = root(leaves), sha256(public(OWN_LOG)).hexdigest()
    body = f"sigsum.org/v1/tree/{log}\n{size}\n{base64.b64encode(top).decode()}\n".encode()
    seen = SEES.sign(b"cosignature/v1\ntime 7\n" + body).signature.hex()
    text = (
        f"version=2\nlog={log}\nleaf={leaves[index][96:].hex()} {leaves[index][32:96].hex()}\n\n"
        f"size={size}\nroot_hash={top.hex()}\nsignature={OWN_LOG.sign(body).signature.hex()}\n"
        f"cosignature={sha256(public(SEES)).hexdigest()} 7 {seen}\n"
    )
    if size > 1:
        text += f"\nleaf_index={index}\n" + "".join(f"node_hash={node.hex()}\n" for node in path(index, leaves))
    return text.encode()


def test_every_leaf_of_every_small_log_is_found_and_at_no_other_place() -> None:
    policy, message = LogPolicy((public(OWN_LOG),), (public(SEES),), 1), bytes([255] * 32)
    for size in range(1, 20):
        for index in range(size):
            good = proof(message, index, size)
            check_proof(good, message, [public(OWNER)], policy)
            for other in (f"leaf_index={index + 1}\n", f"leaf_index={size}\n"):
                with pytest.raises(NotLogged):
                    check_proof(
                        good.replace(f"leaf_index={index}\n".encode(), other.encode()) if size > 1 else b"",
                        message, [public(OWNER)], policy,
                    )  # fmt: skip
