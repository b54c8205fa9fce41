"""Fuzzes lists of sites, entries, notices, and what is signed of releases: lists, signers, lines, proofs of a log."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base.primitives import SigningKey
    from tipbox.formats.notice import Notice
    from tipbox.formats.site_list import SiteEntry, SiteList
    from tipbox.release.release_list import ReleaseList
    from tipbox.release.served_list import ServedList
    from tipbox.release.signed_line import SignedLine
    from tipbox.release.signers import LogPolicy, Signers
    from tipbox.release.sigsum_proof import check_proof
    from tipbox.release.ssh_signature import check_ssh_signature

from datetime import date

from harness import run

KEY = SigningKey(bytes(range(32)))
PUBLIC = KEY.verify_key.encode()
POLICY = LogPolicy((PUBLIC,), (), 0)


def target(data: bytes) -> None:
    if data.startswith(b"version="):
        check_proof(data, bytes(32), [PUBLIC], POLICY)
    elif data.startswith(b"-----"):
        check_ssh_signature(b"", data, PUBLIC)
    elif data.startswith(b'{"'):
        assert SignedLine.parse(data).data == data
    else:
        kinds = (
            ("release", ReleaseList),
            ("signers", Signers),
            ("served", ServedList),
            ("site", SiteList),
            ("notice", Notice),
        )
        kind = next((one for name, one in kinds if f'"kind": "{name}"'.encode() in data), SiteEntry)
        assert kind.parse(data).encode() == data


UNSIGNED = SiteEntry("ili", "ILI", "", ("en",), KEY.verify_key.encode(), (f"{'a' * 56}.onion",))
ENTRY = UNSIGNED.signed_by(KEY)
NOTICE = Notice(ENTRY.id, date(2026, 11, 23), date(2026, 12, 7), {"ru": "obfs4\n192.0.2.1"}).signed_by(KEY)
RELEASE = ReleaseList(
    "1.0.0", bytes(20), {"a": bytes(32), "b/c.d": bytes(32)}, date(2027, 1, 1), "0.9.0", b"", 0, {"a": "1"}, "a"
)
SERVED = ServedList.of("1.0.0", {"Content-Security-Policy": "a"}, {"/": (b"a", "text/html"), "/error.html": (b"", "b")})
PROOF = (
    f"version=2\nlog={'0' * 64}\nleaf={'0' * 64} {'0' * 128}\n\nsize=1\nroot_hash={'0' * 64}\nsignature={'0' * 128}\n"
)
run(target, [
    ENTRY.encode(), UNSIGNED.encode(), SiteList.of("ru", [ENTRY]).encode(), SiteList.of("en", []).encode(),
    NOTICE.encode(), RELEASE.encode(), Signers({"a": PUBLIC}, 1, log=POLICY).encode(), SERVED.encode(), PROOF.encode(),
    SignedLine.make("watch", {"previous": ""}, KEY).data,
    b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
])  # fmt: skip
