"""The errors of releases and deployments: the closed table of docs/releases.md, section 7."""

from __future__ import annotations

from tipbox.errors import Exit, TipboxError


class NotSigned(TipboxError):
    """Too few of the signers signed this."""

    code = "not-signed"
    exit_code = Exit.KEY


class SignersChanged(NotSigned):
    """These signers were not put in place by those before them."""

    code = "signers-changed"


class ReleaseChanged(NotSigned):
    """A file of this release is not what was signed."""

    code = "release-changed"


class ReleaseExpired(NotSigned):
    """This release has expired; get a newer one."""

    code = "release-expired"


class ReleaseOlder(NotSigned):
    """This release is older than one that is known."""

    code = "release-older"


class NotLogged(NotSigned):
    """This release is in no transparency log that its signers name."""

    code = "not-logged"


class ChainBroken(TipboxError):
    """A line of this watcher was changed, left out or put in later."""

    code = "chain-broken"


class Differs(TipboxError):
    """What is served is not what the release and the site list make."""

    code = "differs"


RELEASE_ERRORS: tuple[type[TipboxError], ...] = (
    NotSigned, SignersChanged, ReleaseChanged, ReleaseExpired, ReleaseOlder, NotLogged, ChainBroken, Differs,
)  # fmt: skip
