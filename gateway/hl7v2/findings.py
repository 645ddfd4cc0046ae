"""What the reader has to say about a message, every message in one place with its stable code.

The words hold no quote, backslash, line break or HL7 delimiter of our own, because engines show them still escaped.
What the sender wrote is shown shortened, without such characters, and only where it helps to find the place.
"""

from __future__ import annotations

from gateway.finding import Finding
from gateway.hl7v2.characters import BadByte

_SHOWN = 40

_NAMES = {
    "|": "a vertical bar",
    "^": "a caret",
    "~": "a tilde",
    "\\": "a backslash",
    "&": "an ampersand",
    "#": "a number sign",
    '"': "a double quote",
    "'": "a single quote",
    " ": "a blank",
    "\t": "a tab",
}


def nothing() -> Finding:
    """An empty body."""
    return Finding(
        "error",
        "structure",
        "the body holds nothing but blanks: send one HL7 v2 message that begins with MSH; in Mirth Content of the HTTP "
        "Sender is ${message.encodedData}",
        None,
        "HL7-EMPTY",
    )


def no_header(first: bytes) -> Finding:
    """A body that doesn't begin with MSH; `first` is its beginning."""
    begins = " ".join(f"{byte:02x}" for byte in first[:4])
    return Finding(
        "error",
        "structure",
        f"the body does not begin with MSH but with the bytes {begins} (hexadecimal): "
        "send one HL7 v2 message as it is, without framing or encoding around it",
        None,
        "HL7-START",
    )


def header_behind(offset: int) -> Finding:
    """A body with something before its header segment; `offset` is where that begins."""
    return Finding(
        "error",
        "structure",
        f"the header segment stands at offset {offset} of the body, and something else before it: send the message "
        "alone; in Mirth Content of the HTTP Sender is ${message.encodedData} with nothing around it",
        None,
        "HL7-START",
    )


def batch(name: str) -> Finding:
    """One message was wanted, and what begins with a batch or file header is a file of them."""
    return Finding(
        "error",
        "not-supported",
        f"{name} begins a batch, and one message was to be read here: leave {name} and the trailers out",
        name,
        "HL7-BATCH",
    )


def short_header() -> Finding:
    """An MSH without a delimiter or without an end of MSH-2."""
    return Finding(
        "error",
        "structure",
        "MSH ends before MSH-3: behind MSH stand the field separator, the encoding characters and the field separator",
        "MSH-2",
        "HL7-DELIMITERS",
    )


def encoding_characters(count: int) -> Finding:
    """MSH-2 of another length than 4 or 5."""
    return Finding(
        "error",
        "structure",
        f"MSH-2 has {count} characters: it takes 4 encoding characters, or 5 with the truncation character",
        "MSH-2",
        "HL7-DELIMITERS",
    )


def delimiter_twice(character: str) -> Finding:
    """One character in two places of MSH-1 and MSH-2."""
    return Finding(
        "error",
        "structure",
        f"{_named(character)} stands twice among the delimiters of MSH-1 and MSH-2: give each a character of its own",
        "MSH-2",
        "HL7-DELIMITERS",
    )


def delimiter_unusable(character: str, field: int) -> Finding:
    """A letter, a digit, a blank, a control character or what is not ASCII as a delimiter."""
    return Finding(
        "error",
        "structure",
        f"{_named(character)} in MSH-{field} can not be a delimiter: use punctuation, best that of the standard",
        f"MSH-{field}",
        "HL7-DELIMITERS",
    )


def not_a_segment(line: int, beginning: str) -> Finding:
    """A line that doesn't begin with a segment's name and the field separator."""
    return Finding(
        "error",
        "structure",
        f"line {line} is no segment, it begins with {_shown(beginning)}: "
        "a segment begins with a name of three letters or digits and the field separator; "
        "escape line breaks within a field as .br between escape characters",
        None,
        "HL7-LINE",
    )


def frame_end(line: int) -> Finding:
    """The end of an MLLP frame behind a message."""
    return Finding(
        "error",
        "structure",
        f"line {line} begins with the byte 1c or 0b (hexadecimal), the frame of MLLP, which is for plain TCP and not "
        "for HTTP: send the message without it; in Mirth take these bytes out of Content of the HTTP Sender, or set "
        "the TCP Listener of the source to Transmission Mode MLLP",
        None,
        "HL7-MLLP",
    )


def written_line_end(escape: str, segment: str) -> Finding:
    """Segments parted by an escape sequence, not by what it stands for; `escape` is its letter."""
    return Finding(
        "error",
        "structure",
        f"the segments are parted by the two characters backslash and {escape} (before {segment}) and not by a "
        "carriage return: end each with one byte 0d (hexadecimal); in Mirth a script wrote the escape sequence twice "
        "escaped, or the Segment Delimiter of the outbound data type has more than one backslash",
        segment,
        "HL7-LINE-ENDS",
    )


def second_message(place: str) -> Finding:
    """Another MSH in the same body."""
    return Finding(
        "error",
        "structure",
        "a second MSH stands in the body: send each message in a request of its own (in Mirth: Process Batch of the "
        "source set to Yes, Split Batch By set to MSH Segment), or all of them as a batch that begins with BHS",
        place,
        "HL7-SECOND-MSH",
    )


def mixed_line_ends(line: int) -> Finding:
    """A segment behind a bare LF in a message whose segments end with CR."""
    return Finding(
        "warning",
        "structure",
        f"line {line} holds a line feed with what looks like a segment behind it; "
        "segments of this message end with a carriage return, so it was read as text: end all segments alike",
        None,
        "HL7-LINE-ENDS",
    )


def unknown_charset(spelling: str, *, refused: bool) -> Finding:
    """MSH-18 names a character set that no table has."""
    return Finding(
        "error" if refused else "warning",
        "code-invalid",
        f"MSH-18 names the unknown character set {_shown(spelling)}: "
        "use a code of table 0211 such as UNICODE UTF-8 or 8859/1, or send Content-Type with charset=utf-8",
        "MSH-18",
        "HL7-CHARSET",
    )


def charset_not_offered(spelling: str) -> Finding:
    """MSH-18 or HTTP names a character set that isn't read here."""
    return Finding(
        "error",
        "not-supported",
        f"the character set {_shown(spelling)} is not read here: send UTF-8 and say so as UNICODE UTF-8 in MSH-18",
        "MSH-18",
        "HL7-CHARSET",
    )


def http_charset(charset: str) -> Finding:
    """HTTP's charset parameter is another than the one offered."""
    return Finding(
        "error",
        "not-supported",
        f"Content-Type names the charset {_shown(charset)}: only utf-8 is taken there; leave it out if MSH-18 has it",
        "Content-Type",
        "HL7-CHARSET",
    )


def charsets_disagree(spelling: str, charset: str) -> Finding:
    """HTTP's charset, which governs, is not MSH-18's."""
    return Finding(
        "warning",
        "invalid",
        f"MSH-18 says {_shown(spelling)} and Content-Type says {charset}: "
        f"the message was read as {charset}; make the two agree in the sending system",
        "MSH-18",
        "HL7-CHARSET",
    )


def bad_byte(bad: BadByte, offset: int, place: str | None, codec: str, setting: str) -> Finding:
    """Bytes that don't fit the character set; `setting` says where the set comes from."""
    more = f", and {bad.count - 1} more places" if bad.count > 1 else ""
    return Finding(
        "error",
        "invalid",
        f"byte {bad.value:02x} (hexadecimal) at offset {offset}{more} is not {codec}, the character set of the "
        f"message by {setting}: set the sending system to send that character set, or to name the one that it sends",
        place,
        "HL7-BYTES",
    )


def _named(character: str) -> str:
    known = _NAMES.get(character)
    if known is not None:
        return known
    return f"the character {character}" if character.isprintable() else f"the character U+{ord(character):04X}"


def _shown(text: str) -> str:
    cut = "".join(c if c.isprintable() and c not in _NAMES else " " for c in text[:_SHOWN])
    return cut + (" ..." if len(text) > _SHOWN else "")
