"""``python -m tipbox``: the same as the program ``tipbox``."""

from tipbox.cli import main

if __name__ == "__main__":
    main()
