"""Files judged without a server: HL7 v2 by the dictionaries, FHIR by the R4 tables, CSV by its layout."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gateway import fhir, hl7v2, tabular
from gateway.fhir import Elements
from gateway.finding import Finding, Severity
from gateway.hl7v2 import batch
from gateway.hl7v2.conformance import KINDS, Conformance
from gateway.mapping import codes, rows
from gateway.rules import Vocabulary
from gateway.tabular import Known, Reading

MOST = 1000
"""Most findings of one file that are told."""

_CHUNK = 64 * 1024
_HL7, _FHIR, _CSV = ".hl7", ".json", ".csv"
SUFFIXES = (_HL7, _FHIR, _CSV)
"""Endings of the names of files that are taken from folders."""

DataType = Literal["Hl7v2", "Fhir", "Csv"]


@dataclass(frozen=True, slots=True)
class Standards:
    """What files are judged by.

    Shape: `codes` are the code maps that layouts name; `layout` is that of CSV files whose header line does not tell
    it, None where each is to tell; `user_tables` is whether codes are looked for in tables that sites may fill;
    `profile` what resources have to conform to beyond R4.
    """

    conformance: Conformance
    elements: Elements
    layouts: Mapping[str, tabular.Layout]
    codes: Mapping[str, Known]
    layout: str | None = None
    user_tables: bool = False
    profile: fhir.Standard | None = None


def standards(names: Vocabulary, conformance: Conformance, specs_folder: Path) -> Standards:
    """What files are judged by, of the names that rules are checked against.

    Errors: SpecsError for a code map that can't be read.
    """
    code_maps = codes.load(specs_folder / codes.FOLDER)
    return Standards(conformance, names.elements, names.layouts, rows.known(code_maps))


def data_type(beginning: bytes, suffix: str) -> DataType:
    """What a file is: by its first bytes, else by how its name ends; a text that says neither is CSV."""
    bare = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if bare.startswith((b"MSH", b"FHS", b"BHS")) or suffix.lower() == _HL7:
        return "Hl7v2"
    return "Fhir" if bare.startswith((b"{", b"[")) or suffix.lower() == _FHIR else "Csv"


def judged(file: BinaryIO, suffix: str, standards: Standards) -> tuple[Finding, ...]:
    """Everything that is wrong with a file, up to `MOST` findings; empty where nothing is.

    Shape: `suffix` is how its name ends; the file can be read from its beginning again. A place in a batch has the
    message's number before it, `message 2: PID-5`.
    Errors: OSError.
    """
    beginning = file.read(_CHUNK)
    file.seek(0)
    of = {"Hl7v2": _messages, "Fhir": _resource, "Csv": _rows}[data_type(beginning, suffix)]
    told = tuple(islice(of(file, beginning, standards), MOST + 1))
    if len(told) <= MOST:
        return told
    more = f"the first {MOST} findings are told, and there are more: correct these first"
    return (*told[:MOST], Finding("warning", "too-costly", more))


def outcome(raw_name: str, findings: Iterable[Finding]) -> dict[str, Any]:
    """The findings of a file as an OperationOutcome. Shape: its id is made of the file's name."""
    identifier = hashlib.sha256(raw_name.encode()).hexdigest()[:32]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return fhir.operation_outcome(
        tuple(findings), id=identifier, last_updated=now, max_issues=MOST + 1, max_bytes=batch.LONGEST_MESSAGE
    )


# --- HL7 v2 ----------------------------------------------------------------------------------------------------------


def _messages(file: BinaryIO, beginning: bytes, standards: Standards) -> Iterator[Finding]:
    if not batch.is_batch(beginning):
        yield from _message(file.read(batch.LONGEST_MESSAGE + 1), standards)
        return
    number = 0
    for part, raw in batch.pieces(file, batch.LONGEST_MESSAGE):
        if part.name == "MSH":
            number += 1
            yield from (batch.in_batch(number, one) for one in _message(raw, standards))
        elif not part.name and raw.strip():
            yield batch.lost(part.start)


def _message(raw: bytes, standards: Standards) -> Iterator[Finding]:
    if len(raw) > batch.LONGEST_MESSAGE:
        yield _too_long("message")
        return
    message = hl7v2.read(raw)
    yield from message.findings
    for found in standards.conformance.departures(message, suggested=standards.user_tables):
        severity: Severity = KINDS[found.kind].most or "information"
        yield found.finding(severity)


def _too_long(kind: str) -> Finding:
    return Finding("error", "too-long", f"the {kind} is longer than {batch.LONGEST_MESSAGE} bytes, and was not judged")


# --- FHIR and CSV ----------------------------------------------------------------------------------------------------


def _resource(file: BinaryIO, _beginning: bytes, standards: Standards) -> Iterator[Finding]:
    try:
        raw = file.read(batch.LONGEST_MESSAGE + 1)
        if len(raw) > batch.LONGEST_MESSAGE:
            yield _too_long("resource")
            return
        resource = fhir.load(raw)
    except fhir.JsonError as fault:
        yield Finding("error", "structure", fault.words, fault.place, "FHIR-JSON")
        return
    if standards.profile is not None:
        yield from standards.profile.judge(resource)
    else:
        yield from fhir.validate(resource, standards.elements, most=MOST + 1, advice=True)


def _rows(file: BinaryIO, beginning: bytes, standards: Standards) -> Iterator[Finding]:
    known = standards.layouts
    if standards.layout is not None and standards.layout not in known:
        yield Finding("error", "not-found", f"there is no layout {standards.layout}: known are {', '.join(known)}")
        return
    begun = tabular.begin(beginning, [one for one in known.values() if one.header])
    if isinstance(begun, Finding) and standards.layout is not None:
        begun = tabular.begin(beginning, [known[standards.layout]])
    if isinstance(begun, Finding):
        yield begun
        return
    for row in Reading(begun, standards.codes).rows(iter(lambda: file.read(_CHUNK), b"")):
        yield from row.findings


def of_bytes(raw: bytes, suffix: str, standards: Standards) -> tuple[Finding, ...]:
    """The same of what is held in memory."""
    return judged(io.BytesIO(raw), suffix, standards)
