"""Errors of the desk's commands that docs/format.md does not know, because they never concern a file that travels."""

from __future__ import annotations

from tipbox.errors import Exit, InputRefused, NotFound, TipboxError


class KeyStickMissing(TipboxError):
    """The key stick is not there; plug it in, or put its folder beside the vault."""

    code = "no-key-stick"
    exit_code = Exit.KEY


class VaultDamaged(InputRefused):
    """The vault is damaged, or its disk fails or is out; try again, and else restore it from its second copy."""

    code = "vault-damaged"


class TooEarly(InputRefused):
    """It is too early to destroy a receiving key."""

    code = "too-early"


class ClockDoubted(InputRefused):
    """The date of this machine is far from that of the last Bundle."""

    code = "clock-doubted"


class NoBundleYet(NotFound):
    """No Bundle was ever imported here, so the server's key is not known; import one first."""

    code = "no-bundle"


class OtherVaultVersion(InputRefused):
    """The vault was made by another version of tipbox."""

    code = "vault-version"


class AlreadySent(InputRefused):
    """An outbox has taken this reply: it cannot be taken back."""

    code = "already-sent"


class OtherCopy(InputRefused):
    """The copy holds what this vault lacks: it is the newer one. Work on with it, or copy to an empty folder."""

    code = "newer-copy"


class ShortId(InputRefused):
    """This cannot be undone: give at least eight digits of the id."""

    code = "short-id"


class NoNamespace(TipboxError):
    """This machine lets nobody make a network of their own, which the pages need."""

    code = "no-namespace"
    exit_code = Exit.USAGE


class NoBrowser(NotFound):
    """There is no browser to show the pages."""

    code = "no-browser"


class Resealed(InputRefused):
    """Somebody was removed from this vault, and it has other keys since: unlock it again."""

    code = "resealed"


class Busy(InputRefused):
    """Another command works on the vault, or an import; try again when it has ended."""

    code = "busy"
