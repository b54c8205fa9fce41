"""Proofs that something is in a transparency log: Sigsum's proof format, version 2 (sigsum-go, doc/sigsum-proof.md)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tipbox.errors import Malformed
from tipbox.formats.base.fields import from_hex
from tipbox.formats.base.limits import KIB
from tipbox.release.release_errors import NotLogged
from tipbox.release.signers import LogPolicy

MAX_PROOF: Final = 32 * KIB
_MAX_SIZE: Final = 2**63 - 1


def check_proof(proof: bytes, message: bytes, submitters: Sequence[bytes], policy: LogPolicy) -> None:
    """NotLogged unless ``proof`` shows that ``message`` (32 bytes) is in a log of the policy, put there by a submitter.

    Only Ed25519 keys and a quorum of witnesses; nested groups of Sigsum's policies are not known here.
    """
    try:
        _check(proof, message, submitters, policy)
    except (BadSignatureError, Malformed, ValueError, KeyError) as error:
        raise NotLogged("checking the proof of the log: it does not hold; get the release again") from error


def _check(proof: bytes, message: bytes, submitters: Sequence[bytes], policy: LogPolicy) -> None:
    if len(proof) > MAX_PROOF or not proof.endswith(b"\n"):
        raise ValueError
    head, tree, *path = [_pairs(block) for block in proof.decode("ascii")[:-1].split("\n\n")]
    version, log_hash, leaf = _named(head, "version", "log", "leaf")
    written, root, signed = _named(tree[:3], "size", "root_hash", "signature")
    keyhash, signature = leaf.split(" ")
    size, checksum = _number(written), sha256(message).digest()
    submitter = {sha256(key).hexdigest(): key for key in submitters}[keyhash]
    VerifyKey(submitter).verify(b"sigsum.org/v1/tree-leaf\x00" + checksum, from_hex(signature, 64))
    log = {sha256(key).hexdigest(): key for key in policy.logs}[log_hash]
    body = f"sigsum.org/v1/tree/{log_hash}\n{size}\n{base64.b64encode(from_hex(root, 32)).decode()}\n"
    VerifyKey(log).verify(body.encode(), from_hex(signed, 64))
    witnesses, seen = {sha256(key).hexdigest(): key for key in policy.witnesses}, set()
    for cosigned in _named(tree[3:], *["cosignature"] * len(tree[3:])):
        witness, time, cosignature = cosigned.split(" ")
        if witness in witnesses:
            said = f"cosignature/v1\ntime {_number(time)}\n{body}"
            VerifyKey(witnesses[witness]).verify(said.encode(), from_hex(cosignature, 64))
            seen.add(witness)
    (index,) = _named(path[0][:1], "leaf_index") if path else ("0",)
    nodes = path[0][1:] if path else []
    hashes = [from_hex(node, 32) for node in _named(nodes, *["node_hash"] * len(nodes))]
    leaf_hash = sha256(b"\x00" + checksum + from_hex(signature, 64) + from_hex(keyhash, 32)).digest()
    if version != "2" or len(path) != (size > 1) or len(seen) < policy.quorum:
        raise ValueError
    if _root(leaf_hash, _number(index), size, hashes).hex() != root:
        raise ValueError


def _root(node: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf and its path lead to (RFC 9162, 2.1.3.2)."""
    last = size - 1
    if not 0 <= index <= last:
        raise ValueError
    for other in path:
        if last == 0:
            raise ValueError
        if index % 2 or index == last:
            node = sha256(b"\x01" + other + node).digest()
            while index and not index % 2:
                index, last = index // 2, last // 2
        else:
            node = sha256(b"\x01" + node + other).digest()
        index, last = index // 2, last // 2
    if last:
        raise ValueError
    return node


def _pairs(block: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition("=") for line in block.split("\n"))]


def _named(pairs: Sequence[tuple[str, str]], *names: str) -> list[str]:
    if [name for name, _ in pairs] != list(names):
        raise ValueError
    return [value for _, value in pairs]


def _number(written: str) -> int:
    if not written.isascii() or not written.isdigit() or str(int(written)) != written or int(written) > _MAX_SIZE:
        raise ValueError
    return int(written)
