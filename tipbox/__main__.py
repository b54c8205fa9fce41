"""The program ``tipbox``, and ``python -m tipbox``: where both begin."""

import signal


def main() -> None:
    """Run the command of sys.argv and exit."""
    # Until modules are imported nothing is half done, and an interrupt would only print a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tipbox.cli import main as command

    command()


if __name__ == "__main__":
    main()
