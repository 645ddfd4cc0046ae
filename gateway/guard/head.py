"""The head of a request: its line and its header fields, read strictly.

What two readers might read differently is refused, so that no proxy before the gateway saw another request than the
gateway does. Source: RFC 9112 sections 2 to 6; RFC 9110 sections 5 and 7.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.guard import faults
from gateway.guard.faults import Fault
from gateway.guard.limits import FIELDS

METHODS = frozenset(faults.METHODS)
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([^ \t]+) HTTP/([0-9])\.([0-9])\r\n")
_SHORT = re.compile(_TOKEN + rb" [^ \t\r\n]+\r\n")  # HTTP/0.9
_BEGUN = re.compile(_TOKEN)
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
_PATH = re.compile(rb"/(?:[!\"$&-\[\]-~]|%[0-9A-Fa-f]{2})*")  # printable, but for #, backslash and a % that is none
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_ALONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_OFFERS = frozenset({b"upgrade", b"http2-settings"})
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", *_OFFERS})


@dataclass(frozen=True, slots=True)
class Head:
    """A head that may be read.

    Shape: `raw` is what the parser gets, without offers of another protocol; `length` of the body, None where it comes
    in chunks.
    """

    raw: bytes
    length: int | None


def read_head(raw: bytes, most: int = FIELDS) -> Head | Fault:
    """Judge a whole head, from the request line to the empty line. Units: `most` header fields."""
    line = _LINE.match(raw)
    if line is None:
        return _no_line(raw)
    method, target, *version = line.groups()
    if version not in ([b"1", b"1"], [b"1", b"0"]):
        return faults.VERSION
    if method not in METHODS:
        return faults.METHOD
    if _PATH.fullmatch(target) is None:
        return faults.TARGET
    if _FIELDS.fullmatch(raw, line.end()) is None:
        return _no_fields(raw[line.end() :])
    lines = raw[line.end() : -4].split(b"\r\n") if len(raw) > line.end() + 2 else []
    if len(lines) > most:
        return faults.MANY_FIELDS
    found: dict[bytes, list[bytes]] = {}
    for field in lines:
        name, _, value = field.partition(b":")
        if (name := name.lower()) in _FRAMING:
            found.setdefault(name, []).append(value.strip(b" \t"))
    if not _OFFERS.isdisjoint(found):
        raw = _without_offers(raw[: line.end()], lines)
    return _framed(raw, found, old=version[1] == b"0")


def unfinished(part: bytes | bytearray, limit: int, seen: int = 0) -> Fault | None:
    """What is already wrong with a head that has not all come.

    Shape: of `part`, the first `seen` bytes were judged before. Units: `limit` in bytes, for the whole of it.
    """
    end = part.find(b"\r\n")
    if len(part) > limit:
        return faults.LARGE_HEAD if 0 <= end < limit else faults.LONG_TARGET
    if part and not seen and _BEGUN.match(part) is None:
        return faults.NOT_HTTP
    alone = _ALONE.search(part, max(0, seen - 1))
    if alone is not None and (alone[0] == b"\n" or alone.end() < len(part)):  # the LF of a last CR may follow
        return faults.LINE_END
    if end >= seen - 1 and end >= 0 and _LINE.match(part) is None:
        return _no_line(bytes(part))
    return None


def _framed(raw: bytes, found: dict[bytes, list[bytes]], *, old: bool) -> Head | Fault:
    """The head with the length of its body. Source: RFC 9112 section 6.3; RFC 9110 section 7.2."""
    hosts, lengths = found.get(b"host", []), found.get(b"content-length", [])
    encodings, expected = found.get(b"transfer-encoding", []), found.get(b"expect", [])
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        return faults.HOST
    if encodings and lengths:
        return faults.BOTH
    if encodings and (old or len(encodings) > 1 or encodings[0].lower() != b"chunked"):
        return faults.ENCODING
    if len(lengths) > 1 or (lengths and _DIGITS.fullmatch(lengths[0]) is None):
        return faults.LENGTH
    if expected and (len(expected) > 1 or expected[0].lower() != b"100-continue"):
        return faults.EXPECT
    if encodings:
        return Head(raw, None)
    return Head(raw, int(lengths[0]) if lengths else 0)


def _without_offers(line: bytes, fields: list[bytes]) -> bytes:
    """The head without an offer of another protocol, which a server may leave alone.

    A Java client offers h2c in its first request; the parser would stop there for an upgrade that never comes, and the
    body would be lost. Source: RFC 9110 section 7.8.
    """
    kept = [field for field in fields if field.partition(b":")[0].lower() not in _OFFERS]
    return b"".join([line, *(field + b"\r\n" for field in map(_connection, kept)), b"\r\n"])


def _connection(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    if name.lower() != b"connection":
        return field
    options = [option.strip() for option in value.split(b",")]
    return b"connection: " + b", ".join(option for option in options if option.lower() not in _OFFERS)


def _no_line(raw: bytes) -> Fault:
    if _BEGUN.match(raw) is None:
        return faults.NOT_HTTP
    first = raw[: raw.find(b"\r\n") + 2]
    if _ALONE.search(first) is not None:
        return faults.LINE_END
    return faults.VERSION if _SHORT.fullmatch(first) else faults.REQUEST_LINE


def _no_fields(rest: bytes) -> Fault:
    if _ALONE.search(rest) is not None:
        return faults.LINE_END
    if rest.startswith((b" ", b"\t")) or b"\r\n " in rest or b"\r\n\t" in rest:
        return faults.FOLDED
    return faults.FIELD
