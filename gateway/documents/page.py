"""The Swagger page: which file answers which address, and what a browser may do with it.

Swagger UI comes from the installed package `swagger-ui-py` (Apache-2.0), of which only the files named here are
served; the page around it is our own. Nothing is loaded from another host.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PACKAGE = "swagger_ui"
OWN = Path(__file__).resolve().parent / "swagger"

DOCUMENT = "v1/swagger.json"
"""Where the page looks for its document, relative to the page."""

OWN_FILES = {
    "index.html": "text/html; charset=utf-8",
    "initializer.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "rules.css": "text/css; charset=utf-8",
}
PACKAGE_FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        # Swagger UI sets style attributes from its script and draws its icons from data: addresses; no inline script.
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
)
"""Response headers of every file of the page."""


class PageError(Exception):
    """The Swagger UI assets are not where they should be; the words say what to install."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page: where it stands on disk and the Content-Type it is served with."""

    path: Path
    media_type: str


@functools.cache
def assets() -> Mapping[str, Asset]:
    """Files of the page by the name under `/swagger/`, `index.html` among them.

    Errors: PageError where the package or a file of it is missing.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PageError("the Swagger UI assets are missing: install swagger-ui-py, as requirements.lock names it")
    return collected(Path(found.submodule_search_locations[0]) / "static")


def collected(static: Path) -> Mapping[str, Asset]:
    """Our own files and those of Swagger UI in the folder `static`.

    Errors: PageError naming the first file that is missing.
    """
    files = {name: Asset(OWN / name, media_type) for name, media_type in OWN_FILES.items()}
    files |= {name: Asset(static / name, media_type) for name, media_type in PACKAGE_FILES.items()}
    for name, asset in files.items():
        if not asset.path.is_file():
            raise PageError(f"the file {name} of the Swagger page is missing: install swagger-ui-py again")
    return MappingProxyType(files)
