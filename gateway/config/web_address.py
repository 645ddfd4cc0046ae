"""Addresses of the web that settings take, and which of them are this machine's own."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def web_address(text: str) -> str:
    """An address of the web, without a slash at its end.

    Errors: ValueError for one with a query or credentials, or of plain HTTP elsewhere than on this machine.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("takes an address such as https://exchange.example.org, without query or credentials")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("takes https; plain http is for loopback addresses alone")
    return text.rstrip("/")
