"""Conversion without a server: HL7 v2 or FHIR becomes a transaction Bundle, batches and CSV become lines of JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from gateway import fhir, hl7v2, tabular
from gateway.fhir import Draft, Elements, Marks
from gateway.finding import Finding, refuses
from gateway.hl7v2 import batch
from gateway.interactions.fhir_conversion import converted
from gateway.interactions.refused import Refused, error
from gateway.mapping import Context, Maps
from gateway.mapping.rows import RowMap, told
from gateway.tabular import Reading

BEGINNING = 64 * 1024


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of one file.

    Shape: `bundle` is None where a finding refuses it.
    """

    bundle: bytes | None
    findings: tuple[Finding, ...]


def convert(
    raw: bytes, maps: Maps, elements: Elements, *, organisation: str | None, rules_digest: str,
    messaging: bool = False, overlays: tuple[str, ...] = (), resource: bool | None = None,
) -> Converted:  # fmt: skip
    """Convert one file as a gateway would.

    Shape: `organisation` sends it; without one a message's MSH-4 does, and FHIR can't be converted; `messaging` makes
    a MessageHeader of a message, as for a receiver of FHIR messages; `overlays` are laid over the maps; `resource` is
    whether it is FHIR, by default where it begins as JSON does.
    """
    if (too_long := _too_long(raw)) is not None:
        return too_long
    if resource if resource is not None else raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _of_fhir(raw, elements, organisation, rules_digest)
    message = hl7v2.read(raw)
    if refuses(message.findings):
        return Converted(None, message.findings)
    sender = organisation or message.text("MSH", 4) or "unknown"
    context = _context(sender, rules_digest, messaging=messaging, overlays=overlays)
    conversion = maps.convert(message, context)
    if refuses(conversion.findings):
        return Converted(None, conversion.findings)
    return Converted(_bundle(conversion.drafts), conversion.findings)


def convert_batch(
    source: BinaryIO, sink: BinaryIO, maps: Maps, elements: Elements, *, organisation: str | None, rules_digest: str,
    messaging: bool = False, overlays: tuple[str, ...] = (),
) -> Iterator[Finding]:  # fmt: skip
    """Convert the messages of a batch one by one, in constant memory: the Bundle of each a line of JSON.

    Shape: the source can be read from its beginning again; what is wrong is told as it comes, a place with the
    message's number before it (`message 2: PID-5`), and a faulty message is left out.
    Errors: OSError.
    """
    number = 0
    for part, raw in batch.pieces(source, batch.LONGEST_MESSAGE):
        if part.name == "MSH":
            number += 1
            found = convert(
                raw, maps, elements,
                organisation=organisation, rules_digest=rules_digest, messaging=messaging, overlays=overlays,
            )  # fmt: skip
            yield from (batch.in_batch(number, one) for one in found.findings)
            if found.bundle is not None:
                sink.write(found.bundle + b"\n")
        elif not part.name and raw.strip():
            yield batch.lost(part.start)


def _too_long(raw: bytes) -> Converted | None:
    if len(raw) <= batch.LONGEST_MESSAGE:
        return None
    return Converted(
        None, (error("too-long", f"it is longer than {batch.LONGEST_MESSAGE} bytes, and was not converted"),)
    )


def convert_rows(
    source: BinaryIO, sink: BinaryIO, row_maps: Mapping[str, RowMap],
    *, organisation: str, layout: str | None, rules_digest: str,
) -> Iterator[Finding]:  # fmt: skip
    """Convert a CSV file as a gateway would, in constant memory: each resource a line of JSON.

    Shape: `layout` names one of `row_maps`, without it the file's header line does; the source can be read from its
    beginning again; what is wrong is told as it comes, and a faulty row is left out. The layout's checks by rules are
    not run.
    Errors: OSError.
    """
    known = [row_maps[layout]] if layout is not None else [one for one in row_maps.values() if one.layout.header]
    begun = tabular.begin(source.read(BEGINNING), [one.layout for one in known])
    source.seek(0)
    if isinstance(begun, Finding):
        yield begun
        return
    row_map = row_maps[begun.layout.name]
    shared = told(_context(organisation, rules_digest), row_map.marks)
    for row in Reading(begun, row_map.known).rows(iter(lambda: source.read(BEGINNING), b"")):
        made = row_map.convert(row, shared) if row.values else None
        yield from row.findings if made is None else made.findings
        sink.writelines(fhir.dump(draft.resource) + b"\n" for draft in (made.drafts if made is not None else ()))


def _of_fhir(raw: bytes, elements: Elements, organisation: str | None, rules_digest: str) -> Converted:
    try:
        resource = fhir.load(raw)
    except fhir.JsonError as fault:
        return Converted(None, (error("structure", fault.words, fault.place, "FHIR-JSON"),))
    if organisation is None:
        words = "FHIR does not say who sends it: give --organisation with the sender's ODS code"
        return Converted(None, (error("required", words),))
    findings = fhir.validate(resource, elements)
    if refuses(findings):
        return Converted(None, findings)
    marks = Marks(elements.tables.systems.marks)
    digest = hashlib.sha256(raw).hexdigest()
    try:
        made = converted(resource, "", digest, _context(organisation, rules_digest), elements, marks)
    except Refused as refusal:
        return Converted(None, refusal.findings)
    return Converted(_bundle(made.drafts), made.findings)


def _context(
    organisation: str, rules_digest: str, *, messaging: bool = False, overlays: tuple[str, ...] = ()
) -> Context:
    return Context(
        organisation=organisation.upper(),
        domain="offline",
        received=datetime.now(UTC),
        receipt="offline",
        rules_digest=rules_digest,
        messaging=messaging,
        overlays=overlays,
    )


def _bundle(drafts: tuple[Draft, ...]) -> bytes:
    return fhir.dump(fhir.transaction([fhir.entry_put(draft.resource) for draft in drafts]))
