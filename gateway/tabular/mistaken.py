"""What is sent in place of a CSV file, and header lines cut by another delimiter: each told with what to change.

Source: the first bytes of ZIP (PKWARE's APPNOTE, 4.3.7), OLE compound files ([MS-CFB] 2.2) and gzip (RFC 1952 2.3.1).
"""

from __future__ import annotations

from gateway.tabular.layout import Layout, fold

_AS_CSV = "save it as CSV in UTF-8 and send that"
_NO_TEXT = (
    (b"PK\x03\x04", f"the file is a workbook (xlsx) or another ZIP archive: {_AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", f"the file is a workbook of Excel (xls): {_AS_CSV}"),
    (b"\x1f\x8b", "the file is compressed by gzip and no header says so: send Content-Encoding: gzip with it"),
)
_OTHER_TEXT = (
    (b"MSH", "the body is an HL7 v2 message: send it with data-type: Hl7v2"),
    (b"{", "the body is JSON: send FHIR with data-type: Fhir, and rows as CSV"),
    (b"[", "the body is JSON: send rows as CSV"),
    (b"<", f"the body is XML or HTML, as of a page that was saved: {_AS_CSV}"),
)
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BEFORE_TEXT = b"\xef\xbb\xbf \t\r\n"


def no_text(start: bytes) -> str | None:
    """What a file is that begins as no CSV does, by its first bytes."""
    return next((words for mark, words in _NO_TEXT if start.startswith(mark)), None)


def other_text(start: bytes) -> str | None:
    """What a text is whose first line fits no layout, where that can be told."""
    begun = start.lstrip(_BEFORE_TEXT)
    return next((words for mark, words in _OTHER_TEXT if begun.startswith(mark)), None)


def other_delimiter(header: str, layout: Layout) -> str | None:
    """Whether a header line that came as one cell is one of the layout's, cut by another delimiter."""
    own = layout.dialect.delimiter
    for other, name in _DELIMITERS.items():
        if other != own and sum(fold(cell.strip('"')) in layout.known for cell in header.split(other)) > 1:
            wanted = _DELIMITERS.get(own, own)
            return f"its cells are separated by {name}; separate them by {wanted}"
    return None
