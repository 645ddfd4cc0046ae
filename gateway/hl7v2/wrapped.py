"""What stands in place of a message: frames, encodings and other formats, each told by name with what to change.

The words name settings of Mirth Connect, whose HTTP Sender most senders use, as its Administrator shows them; other
engines have the like. They hold no quote, backslash, line break or HL7 delimiter, as all words of `findings.py`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.finding import Finding
from gateway.hl7v2 import findings

PLAIN_CONTENT = "set Content of the HTTP Sender in Mirth to ${message.encodedData} alone"
"""What makes Mirth send the message as it is."""

_LOOKED_AT = 4096
_ENCODED = 64  # characters of base64 that are decoded to see what they begin with
_NAMES = "MSH|FHS|BHS"
_TEMPLATE = re.compile(r"\$\{[^}\r\n]{0,100}\}?|\$[A-Za-z]\w{0,60}\s*\Z")
_FORM = re.compile(rf"[\w.\-]{{1,60}}=(?:%0B)?(?:{_NAMES})", re.IGNORECASE)
_PERCENT = re.compile(rf"(?:%0B)?(?:{_NAMES})%[0-9A-F]{{2}}", re.IGNORECASE)
_QUOTED = re.compile(rf"[\"'](?:\\u000b)?(?:{_NAMES})", re.IGNORECASE)
_MULTIPART = re.compile(r"--\S[^\r\n]*\r?\n(?:[\w-]+:[^\r\n]*\r?\n)*Content-(?:Disposition|Type):", re.IGNORECASE)
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}\|")
_HEADER = re.compile(rf"(?:^|[\s>,;:])(?:{_NAMES})[|!#$%^]")
# each separator is looked for once, or a line of thousands of them would take seconds
_TABLE = re.compile(r"(?:[^|\r\n,;\t]*[,;\t]){2}[^|\r\n]*[\r\n]")
_MESSAGE = re.compile(rb"[ \t\r\n\x0b\xef\xbb\xbf]{0,16}(?:MSH|FHS|BHS)[!-/:-@\[-`{-~]")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"M\x00S\x00H\x00", b"\x00M\x00S\x00H")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class _Wrapping:
    """One thing that is sent in place of a message: how it is known, what it is called and what cures it."""

    rule: str
    found: Callable[[bytes, str], bool]
    saw: str
    cure: str


def looks_like_message(body: bytes) -> bool:
    """Whether a body that was sent as something else begins as an HL7 v2 message or batch does."""
    return _MESSAGE.match(body) is not None


def wrapping(body: bytes) -> Finding | None:
    """What a body without MSH at its beginning is, where that can be told.

    Shape: `body` has no byte order mark of UTF-8.
    """
    text = body[:_LOOKED_AT].decode("latin-1").lstrip(" \t\r\n")
    for one in _WRAPPINGS:
        if one.found(body, text):
            return Finding("error", "structure", f"{one.saw}: {one.cure}", None, one.rule)
    behind = _HEADER.search(text)
    if behind is not None:
        return findings.header_behind(body.find(behind[0].encode("latin-1")) + len(behind[0]) - 4)
    return None


def _framed(body: bytes, text: str) -> bool:  # noqa: ARG001 - each is asked alike
    return text.startswith("\x0b")


def _wide(body: bytes, text: str) -> bool:  # noqa: ARG001 - each is asked alike
    return body.startswith(_WIDE)


def _compressed(body: bytes, text: str) -> bool:  # noqa: ARG001 - each is asked alike
    return body.startswith(_GZIP)


def _base64(body: bytes, text: str) -> bool:  # noqa: ARG001 - each is asked alike
    encoded = "".join(re.sub(r"\Adata:[^,]{0,80},", "", text[: 2 * _ENCODED]).split())[:_ENCODED]
    encoded = encoded.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        decoded = base64.b64decode(encoded[: len(encoded) // 4 * 4], validate=True)
    except ValueError:
        return False
    return looks_like_message(decoded)


def _fhir(body: bytes, text: str) -> bool:  # noqa: ARG001 - each is asked alike
    return text.startswith(("{", "[")) and '"resourceType"' in text


def _matches(pattern: re.Pattern[str]) -> Callable[[bytes, str], bool]:
    return lambda _, text: pattern.match(text) is not None


def _begins(*beginnings: str) -> Callable[[bytes, str], bool]:
    return lambda _, text: text.startswith(beginnings)


_WRAPPINGS = (
    _Wrapping(
        "HL7-MLLP", _framed,
        "the body begins with the byte 0b (hexadecimal), the frame of MLLP, which is for plain TCP and not for HTTP",
        "send the message without 0b before it and 1c 0d behind it; in Mirth take these bytes out of Content of the "
        "HTTP Sender, or where they come from the source, set its TCP Listener to Transmission Mode MLLP, which takes "
        "them off, instead of Basic TCP",
    ),
    _Wrapping(
        "HL7-UTF16", _wide,
        "the body is UTF-16, two bytes to a character",
        "send UTF-8; in Mirth set Charset Encoding of the HTTP Sender to UTF-8",
    ),
    _Wrapping(
        "HL7-GZIP", _compressed,
        "the body is compressed by gzip and no header says so",
        "send the header Content-Encoding: gzip with it; in Mirth that header in Headers of the HTTP Sender is enough, "
        "since it compresses then",
    ),
    _Wrapping(
        "HL7-TEMPLATE", _matches(_TEMPLATE),
        "the body is a variable that nobody put a value in, as it is written in a template",
        f"{PLAIN_CONTENT}; a name that is in none of its maps is sent as it stands",
    ),
    _Wrapping(
        "HL7-FHIR", _fhir,
        "the body is a FHIR resource in JSON and the header data-type says Hl7v2",
        "send the header data-type: Fhir with it; or to send the message itself, " + PLAIN_CONTENT,
    ),
    _Wrapping(
        "HL7-JSON", _begins("{", "["),
        "the body is JSON, and data-type Hl7v2 takes a message in its delimited form",
        f"{PLAIN_CONTENT}, and the outbound data type of the destination (Set Data Types) to HL7 v2.x",
    ),
    _Wrapping(
        "HL7-XML", _begins("<"),
        "the body is XML, and data-type Hl7v2 takes a message in its delimited form",
        f"{PLAIN_CONTENT} (not ${{message.transformedData}}), and the outbound data type of the destination (Set Data "
        "Types) to HL7 v2.x",
    ),
    _Wrapping(
        "HL7-FORM", _matches(_MULTIPART),
        "the body is a multipart form with the message in one of its parts",
        "send the message alone; in Mirth set Multipart of the HTTP Sender to No",
    ),
    _Wrapping(
        "HL7-QUOTED", _matches(_QUOTED),
        "the body begins with a quotation mark before the header segment, so the message was written as a string",
        f"send it without quotation marks and escapes; {PLAIN_CONTENT}, without JSON.stringify or quotes around it",
    ),
    _Wrapping(
        "HL7-FORM", _matches(_FORM),
        "the body is a form with the message as the value of a field",
        "send the message alone; in Mirth leave Query Parameters of the HTTP Sender empty, set Content Type to "
        "text/plain and Content to ${message.encodedData}",
    ),
    _Wrapping(
        "HL7-URL-ENCODED", _matches(_PERCENT),
        "the body is URL-encoded, its delimiters are written with percent signs",
        f"send the message as it is; {PLAIN_CONTENT} and Content Type to text/plain, without a step that encodes it "
        "(encodeURIComponent, URLEncoder)",
    ),
    _Wrapping(
        "HL7-BASE64", _base64,
        "the body is Base64, and a message stands in it",
        "send the message as it is; in Mirth have the source read text (File Type Text of a File Reader, Binary MIME "
        "Types of an HTTP Listener that do not match), or set Data Type of the HTTP Sender to Binary, which decodes "
        "Base64 before it sends",
    ),
    _Wrapping(
        "HL7-LOWER-CASE", _begins("msh|", "Msh|", "fhs|", "bhs|"),
        "the name of the header segment is not in upper case",
        "segment names are: write MSH",
    ),
    _Wrapping(
        "HL7-NO-MSH", _matches(_SEGMENT),
        "the body begins with another segment than MSH",
        "send the whole message; in Mirth a transformer that removes MSH, or a Split Batch By that cuts elsewhere than "
        "at MSH Segment, leaves it out",
    ),
    _Wrapping(
        "HL7-CSV", _matches(_TABLE),
        "the body looks like a table and the header data-type says Hl7v2",
        "send the header data-type: Csv with it, to a domain that accepts its layout",
    ),
)  # fmt: skip
"""In the order in which they are tried: the sure ones first."""
