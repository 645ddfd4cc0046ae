"""Everything that a guard refuses a request for, each with its status and a stable code: the one place of their words.

None of them repeats what was sent: nobody knows yet who sent it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a connection ends. Shape: `kind` is an issue type of FHIR R4; `rule` the code that logs and clients see."""

    rule: str
    status: int
    kind: str
    words: str


REQUEST_LINE = Fault("HTTP-G01", 400, "structure", "the first line is no request line: METHOD /path HTTP/1.1")
VERSION = Fault("HTTP-G02", 505, "not-supported", "HTTP/1.1 and HTTP/1.0 are spoken here, no other version")
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
METHOD = Fault("HTTP-G03", 405, "not-supported", "this method is not known here; see /swagger/index.html")
TARGET = Fault(
    "HTTP-G04", 400, "invalid", "the request names no path of this gateway: send a path that begins with /, in "
    "printable ASCII, without fragment or backslash, and with two hexadecimal digits after each %; this is no proxy",
)  # fmt: skip
LONG_TARGET = Fault("HTTP-G05", 414, "too-long", "the address is too long: send a long search as POST _search")
LARGE_HEAD = Fault("HTTP-G06", 431, "too-long", "the header fields are more than 32 KiB")
MANY_FIELDS = Fault("HTTP-G07", 431, "too-long", "there are more than 100 header fields")
FIELD = Fault(
    "HTTP-G08", 400, "structure", "a header field is not NAME: VALUE, without a blank before the colon and without "
    "control characters",
)  # fmt: skip
FOLDED = Fault("HTTP-G09", 400, "structure", "a header field goes on in the next line: send it in one")
LINE_END = Fault("HTTP-G10", 400, "structure", "a line ends with CR or LF alone: end each with CR LF")
HOST = Fault("HTTP-G11", 400, "required", "header Host must be sent exactly once, with a host name and maybe a port")
LENGTH = Fault("HTTP-G12", 400, "invalid", "header Content-Length must be sent once at most, with digits alone")
BOTH = Fault("HTTP-G13", 400, "invalid", "Content-Length and Transfer-Encoding exclude each other: send one of them")
ENCODING = Fault(
    "HTTP-G14", 501, "not-supported", "the only Transfer-Encoding taken is chunked, once, and in HTTP/1.1; a body in "
    "gzip is announced by Content-Encoding",
)  # fmt: skip
EXPECT = Fault("HTTP-G15", 417, "not-supported", "the only expectation that is met is Expect: 100-continue")
CHUNK = Fault("HTTP-G16", 400, "structure", "the body is not in the chunks that Transfer-Encoding announces")
TRAILER = Fault("HTTP-G17", 400, "not-supported", "header fields after the body are not taken: send them before it")
SLOW_HEAD = Fault("HTTP-G18", 408, "timeout", "the header fields took too long to come")
SLOW_BODY = Fault("HTTP-G19", 408, "timeout", "the body comes too slowly; send it again")
FULL = Fault("HTTP-G20", 503, "throttled", "there are too many connections; connect again in a moment")
NOT_HTTP = Fault("HTTP-G21", 400, "structure", "this is not HTTP; an address with https:// has a port of its own")
UNREAD = Fault("HTTP-G22", 400, "structure", "the request can't be read as HTTP/1.1")

CROWDED_HANDSHAKE, SLOW_HANDSHAKE = "HTTP-G23", "HTTP-G24"
"""Why a connection ends before TLS is agreed: nothing can be said there yet."""

ALL = (
    REQUEST_LINE, VERSION, METHOD, TARGET, LONG_TARGET, LARGE_HEAD, MANY_FIELDS, FIELD, FOLDED, LINE_END, HOST, LENGTH,
    BOTH, ENCODING, EXPECT, CHUNK, TRAILER, SLOW_HEAD, SLOW_BODY, FULL, NOT_HTTP, UNREAD,
)  # fmt: skip
