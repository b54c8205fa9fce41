"""Where the files lie that are shipped beside the code: templates, client bundle, catalogues.

In an installed wheel they are folders of the package. In a checkout (an editable install) the
templates and the built client are top-level folders, beside the package.
"""

from pathlib import Path

from tipbox.errors import NotFound

SOURCE_LANGUAGE = "en"
_PACKAGE = Path(__file__).resolve().parent


def _locate(name: str, installed: Path, checkout: Path) -> Path:
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise NotFound(f"looking for the {name}: {installed} is missing; run make setup, or install tipbox again")


def templates_dir() -> Path:
    """The folder of the Jinja templates (`source/`, `offline/`, what `both/` have, `desk/`).

    Raises:
        NotFound: the installation is not whole.
    """
    return _locate("templates", _PACKAGE / "templates", _PACKAGE.parent / "templates")


def static_dir() -> Path:
    """The folder of the built browser client: its scripts, `style.css` and `first.css`.

    Raises:
        NotFound: the client has not been built.
    """
    return _locate("browser client", _PACKAGE / "static", _PACKAGE.parent / "client" / "dist")


def locale_dir() -> Path:
    """The folder of the gettext catalogues, `<language>/LC_MESSAGES/tipbox.mo`."""
    return _PACKAGE / "locale"


def available_languages() -> list[str]:
    """English, which the source texts are in, and each language with a compiled catalogue."""
    compiled = {path.parent.parent.name.replace("_", "-") for path in locale_dir().glob("*/LC_MESSAGES/tipbox.mo")}
    return [SOURCE_LANGUAGE, *sorted(compiled - {SOURCE_LANGUAGE})]
