"""A server's own address in what it sends: known as an address, never as text, and taken out before anything is judged.

A reference to it is one to what is behind it, so it becomes relative; every other address of it becomes the gateway's.
Source: `facade.md` of the design, "Links"; https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any
from urllib.parse import SplitResult, urlsplit

PORTS = {"http": 80, "https": 443}


class OwnAddress:
    """The address of a server, and how to tell it in what the server sends."""

    def __init__(self, base: str) -> None:
        """Take the server's address without query."""
        self._parts = urlsplit(base.rstrip("/") + "/")
        self._host = (self._parts.hostname or "").lower()
        self._bytes = self._host.encode()

    def named_in(self, body: bytes, beside: Iterable[str] = ()) -> bool:
        """Whether a body may name the server, at the price of one look at it; more often than these texts of it do."""
        return body.lower().count(self._bytes) > sum(text.lower().count(self._host) for text in beside)

    def relative(self, address: str) -> str:
        """An address below the server's, without it; any other as it is."""
        below = self._below(address)
        return address if below is None else below

    def taken_out(self, value: Any, public: str) -> Any:
        """A resource, or what is in one, without the server's address; itself where it isn't there.

        Shape: `public` is the gateway's address, without a slash at the end. A narrative that names the server goes
        whole: it is generated from the rest.
        """
        if isinstance(value, str):
            below = self._below(value)
            return value if below is None else f"{public}/{below}".rstrip("/")
        if isinstance(value, dict):
            return self._members(value, public)
        if isinstance(value, list):
            made = [self.taken_out(one, public) for one in value]
            return value if all(map(operator.is_, made, value)) else made
        return value

    def _members(self, value: dict[str, Any], public: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        same = True
        for name, one in value.items():
            if isinstance(one, str) and "//" not in one:  # nearly all are
                made[name] = one
                continue
            if name == "reference" and isinstance(one, str):
                kept: Any = self.relative(one)
            elif name == "text" and isinstance(one, dict) and self._told(one.get("div")):
                same = False
                continue
            else:
                kept = self.taken_out(one, public)
            same = same and kept is one
            made[name] = kept
        return value if same else made

    def _told(self, text: object) -> bool:
        return isinstance(text, str) and f"//{self._host}" in text.lower()

    def _below(self, address: str) -> str | None:
        """What an address names below the server's own; None for another server's, and for what is no address."""
        if "//" not in address or self._host not in address.lower():
            return None
        try:
            url = urlsplit(address)
            same = _place(url) == _place(self._parts)
        except ValueError:  # a port that is none
            return None
        own = self._parts.path
        if not same or not (url.path + "/").startswith(own):
            return None
        below = url.path.removeprefix(own) if url.path.startswith(own) else ""
        return below + (f"?{url.query}" if url.query else "") + (f"#{url.fragment}" if url.fragment else "")


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Errors: ValueError for a port that is none."""
    scheme = url.scheme.lower()
    return scheme, url.hostname, url.port or PORTS.get(scheme)
