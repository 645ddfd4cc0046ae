"""Acknowledgements: written for what was received, read from what a target answered.

Whatever the sender put into its message, what is written here has one MSA and one line a segment: every text that comes
from elsewhere is escaped.

Source: HL7 v2.5.1, chapter 2.9.2 (original mode), 2.9.3 (enhanced mode), 2.15.8 (MSA), 2.15.5 (ERR), 2.15.9.15 and
2.15.9.16 (MSH-15, MSH-16), table 0155; `http-interface.md` of the design.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from gateway import specs
from gateway.finding import Finding
from gateway.hl7v2 import batch, place
from gateway.hl7v2.delimiters import NULL, STANDARD, escape
from gateway.hl7v2.message import Element, Message, Segment
from gateway.hl7v2.reader import read

MOST_ERRORS = 20
"""ERR segments of one acknowledgement, as many as its OperationOutcome has issues at most."""

_FOLDER = "hl7v2/dictionary"
_PROCESSING = "P"
_VERSION = "2.4"
_STRUCTURED_SINCE = (2, 5)  # MSH-9 has three components, and ERR says place, code and severity
_ERROR_TABLE = "HL70357"
_ACCEPT_TYPE, _APPLICATION_TYPE = 15, 16
_ASKED: Mapping[str, frozenset[str]] = MappingProxyType({
    "AL": frozenset({"AA", "AE", "AR"}),
    "ER": frozenset({"AE", "AR"}),
    "SU": frozenset({"AA"}),
})  # fmt: skip
"""Outcomes that a value of table 0155 wants acknowledged; `NE`, nothing, and what the table hasn't want none."""
_COMMITTED: Mapping[str, str] = MappingProxyType({"AA": "CA", "AE": "CE", "AR": "CR"})
_NEVER = "NE"
_NUMBERS = re.compile(r"\d{1,3}(?:\.\d{1,3})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What an acknowledgement says.

    Shape: `code` is MSA-1 (AA, AE, AR, CA, CE, CR), `control_id` MSA-2 and `text` MSA-3, both whole and unescaped.
    """

    code: str
    control_id: str | None
    text: str | None


def acknowledge(  # noqa: PLR0913 - each is a field of the acknowledgement, named at the call
    message: Message | None,
    *,
    code: str,
    domain: str,
    organisation: str,
    application: str,
    facility: str,
    outcome: str | None,
    findings: tuple[Finding, ...],
    id: str,  # noqa: A002 - MSH-10, a message control id, is called so everywhere else too
    now: datetime,
) -> bytes:
    """The acknowledgement of a message, or of a body that was not read.

    Shape: `code` is the outcome (AA, AE, AR), from which the mode that the sender asks for makes MSA-1; `outcome` is an
    OperationOutcome as JSON, or None to leave MSA-3 out; `findings` become ERR segments from version 2.5 on. UTF-8,
    each segment ended by CR. In enhanced mode MSH-15 and MSH-16 say that nobody acknowledges an acknowledgement.
    Units: `now` is aware; MSH-7 is in UTC, without offset.
    """
    version = _sent(message, 12) or _VERSION
    structured = _is_structured(message)
    header = [
        "MSH",
        STANDARD.encoding_characters,
        escape(application),
        escape(facility),
        escape(domain),
        escape(organisation),
        now.astimezone(UTC).strftime("%Y%m%d%H%M%S"),
        "",
        f"ACK^{escape(_event(message))}^ACK" if structured else "ACK",
        escape(id),
        _sent(message, 11) or _PROCESSING,
        version,
        *(["", "", _NEVER, _NEVER] if _is_enhanced(message) else []),
    ]
    control_id = message.control_id if message is not None else None
    lines = [header, ["MSA", escape(acknowledgement_code(message, code)), escape(control_id or "")]]
    if outcome is not None:
        lines[1].append(escape(outcome))
    if structured:
        lines.extend(_error(finding) for finding in findings[:MOST_ERRORS])
    # A lone surrogate can't be written; nothing that was decoded holds one, and a question mark harms nobody.
    return "".join(STANDARD.field.join(line) + "\r" for line in lines).encode("utf-8", errors="replace")


def acknowledgement_code(message: Message | None, outcome: str) -> str:
    """MSA-1 for an outcome (AA, AE, AR), by what MSH-15 and MSH-16 ask for.

    Shape: the application's acknowledgement where MSH-16 wants it, else CA, CE or CR where MSH-15 wants one. Where
    neither does it is the application's all the same: HTTP answers anyway, and engines take an empty answer for a
    failure.
    """
    if outcome in _ASKED.get(_header_text(message, _APPLICATION_TYPE), frozenset()):
        return outcome
    if outcome in _ASKED.get(_header_text(message, _ACCEPT_TYPE), frozenset()):
        return _COMMITTED[outcome]
    return outcome


def read_acknowledgement(raw: bytes) -> Acknowledged | None:
    """What an acknowledgement says, or None if it isn't one: no MSA, several of them, or no MSA-1.

    Shape: bytes that don't fit the character set are no reason to doubt the code; `text` then has U+FFFD for them.
    """
    found = read(raw).all("MSA")
    if len(found) != 1:
        return None
    code = found[0].text(1)
    return Acknowledged(code, found[0].whole(2), found[0].whole(3)) if code else None


def read_acknowledgements(raw: bytes) -> tuple[Acknowledged | None, ...]:
    """What each acknowledgement of an answer says: one alone, or those of a batch in their order.

    Shape: None in the place of what is none.
    """
    if not batch.is_batch(raw):
        return (read_acknowledgement(raw),)
    return tuple(
        read_acknowledgement(raw[part.start : part.end])
        for part in batch.parts([raw])
        if part.name not in {"FHS", "BHS", "BTS", "FTS"}
    )


def _header(message: Message | None) -> Segment | None:
    return message.first("MSH") if message is not None else None


def _header_text(message: Message | None, field: int) -> str:
    """First leaf of a header field; empty where nothing was sent, or a null."""
    header = _header(message)
    text = (header.text(field) if header else None) or ""
    return "" if text == NULL else text


def _is_enhanced(message: Message | None) -> bool:
    """Whether either acknowledgement type is valued: without both, the original mode's rules hold (2.9.2)."""
    return any(_header_text(message, field) for field in (_ACCEPT_TYPE, _APPLICATION_TYPE))


def _event(message: Message | None) -> str:
    header = _header(message)
    return (header.text(9, 2) if header else None) or ""


def _sent(message: Message | None, field: int) -> str:
    """A header field as the sender sent it, in our delimiters: the first repetition with all its components."""
    header = _header(message)
    repetitions = header.field(field) if header else ()
    return _rewritten(repetitions[0]) if repetitions and not repetitions[0].is_null else ""


def _rewritten(element: Element) -> str:
    components = (
        STANDARD.subcomponent.join(escape(part.text or "") for part in component.parts) for component in element.parts
    )
    return STANDARD.component.join(components)


def _is_structured(message: Message | None) -> bool:
    version = (message.version if message is not None else None) or _VERSION
    if not _NUMBERS.fullmatch(version):
        return False
    return tuple(int(part) for part in version.split(".")) >= _STRUCTURED_SINCE


def _error(finding: Finding) -> list[str]:
    codes = _error_codes()
    code, text = codes.get(finding.rule or "") or codes.get(finding.code) or codes["*"]
    return [
        "ERR",
        "",
        _location(finding.expression),
        f"{escape(code)}^{escape(text)}^{_ERROR_TABLE}",
        escape(_severities()[finding.severity]),
    ]


def _location(expression: str | None) -> str:
    """ERR-2: segment, its number, field, repetition, component, sub-component."""
    found = place.parse(expression) if expression else None
    if found is None:
        return ""
    parts = (found.segment, found.number, found.field, found.repetition, found.component, found.subcomponent)
    return STANDARD.component.join("" if part is None else str(part) for part in parts).rstrip(STANDARD.component)


@functools.cache
def _error_codes() -> Mapping[str, tuple[str, str]]:
    rows = specs.table(specs.ROOT / _FOLDER / "error-codes.csv")
    return MappingProxyType({row.values["match"]: (row.values["code"], row.values["text"]) for row in rows})


@functools.cache
def _severities() -> Mapping[str, str]:
    rows = specs.table(specs.ROOT / _FOLDER / "error-severities.csv")
    return MappingProxyType({row.values["severity"]: row.values["code"] for row in rows})
