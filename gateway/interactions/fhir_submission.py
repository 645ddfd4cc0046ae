"""`data-type: Fhir`: a resource or a Bundle as the content of a submission.

Source: `http-interface.md` of the design, "Keys"; https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway import fhir
from gateway.documents.outcomes import BY_NAME
from gateway.fhir import Resource
from gateway.finding import Finding, refuses
from gateway.interactions.acknowledge import Sender
from gateway.interactions.content import Accepted, KeyName, Made
from gateway.interactions.deliver import Written
from gateway.interactions.fhir_conversion import converted
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import listed, shown
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import FHIR_JSON, whole_outcome
from gateway.journal import Answer
from gateway.mapping import Context
from gateway.rules.declared import Domain

LONGEST_KEY = 200
_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"


def read(gateway: Gateway, raw: bytes, charset: str | None, idempotency_key: str) -> FhirContent:  # noqa: ARG001 - FHIR's JSON is UTF-8 whatever the header says
    """Read a resource and hold it against the element table; what is wrong is among its findings."""
    digest = hashlib.sha256(raw).hexdigest()
    wrong = _wrong_key(idempotency_key)
    control_id = idempotency_key if not wrong else ""
    try:
        resource = fhir.load(raw.removeprefix(_MARK))
    except fhir.JsonError as fault:
        return FhirContent(None, control_id, digest, (*wrong, _unreadable(raw, fault)))
    found = fhir.validate(resource, gateway.elements, fhir.MOST_FINDINGS)
    return FhirContent(resource, control_id, digest, (*wrong, *found))


@dataclass(frozen=True, slots=True)
class FhirContent:
    """One resource, which may be a Bundle of others. Shape: `resource` is None where it could not be read."""

    resource: Resource | None
    control_id: str
    body_hash: str
    findings: tuple[Finding, ...]

    @property
    def type(self) -> str:
        """Resource type."""
        return "" if self.resource is None else str(self.resource["resourceType"])

    def facts(self) -> Mapping[str, Any]:
        """Every resource that was sent, once they are known to be valid."""
        if self.resource is None or refuses(self.findings):
            return {}
        return {"resources": fhir.placed(self.resource)}

    def sender(self, sender: Sender) -> Sender:
        """The sender as it is: an answer repeats nothing of the body."""
        return sender

    def key(self, body_hash: str) -> tuple[str, ...]:
        """The Idempotency-Key, or the body's hash; the data type keeps them apart from the keys of others."""
        return ("Fhir", self.control_id or body_hash)

    def key_name(self) -> KeyName:
        """The Idempotency-Key."""
        if not self.control_id:
            return KeyName("this body", None, "send it once", "FHIR")
        words = f"Idempotency-Key {shown(self.control_id)}"
        return KeyName(words, "Idempotency-Key", "give each submission a key of its own", "FHIR")

    def check_acceptable(self, gateway: Gateway, domain: Domain) -> None:  # noqa: ARG002 - other data types ask it for their versions
        """Whether it, and every entry of a Bundle, is of a type that the domain accepts, and valid FHIR R4.

        Errors: Refused (unreadable).
        """
        accepted = tuple(t for accept in domain.accepts if accept.data_type == "Fhir" for t in accept.types)
        if self.resource is not None and self.type not in accepted:
            raise Refused("unreadable", error(
                "not-supported",
                f"domain {domain.name} does not accept resource type {shown(self.type)}; it accepts {listed(accepted)}",
                "resourceType", "FHIR-A01",
            ))  # fmt: skip
        if refuses(self.findings):
            raise Refused("unreadable", *self.findings)
        may = tuple(dict.fromkeys((*accepted, *(t for accept in domain.accepts for t in accept.holds))))
        strange = [
            error(
                "not-supported",
                f"domain {domain.name} takes no {held} in a Bundle; it takes {listed(may)}",
                place, "FHIR-A02",
            )
            for held, sent in fhir.placed(self.resource or {}).items() if held not in may
            for place, _ in sent
        ]  # fmt: skip
        if strange:
            raise Refused("unreadable", *strange)

    def convert(self, gateway: Gateway, context: Context) -> Made:
        """Its entries under the ids that the record gives them.

        Errors: Refused (failed).
        """
        return converted(
            self.resource or {}, self.control_id, self.body_hash, context, gateway.elements, gateway.merging.marks
        )

    def answer(self, gateway: Gateway, sender: Sender, accepted: Accepted, made: Made) -> Answer:  # noqa: ARG002 - an acknowledgement repeats the sender, this does not
        """A response Bundle for a transaction or a batch, else an OperationOutcome."""
        kind = str((self.resource or {}).get("type")) if self.type == "Bundle" else ""
        if kind in fhir.REQUESTED:
            body = _response(kind, accepted, made, whole_outcome(accepted.findings, gateway.clock()))
        else:
            body = whole_outcome((*accepted.findings, *_became(accepted, made)), gateway.clock())
        return Answer(BY_NAME[accepted.reason].http_status, FHIR_JSON, fhir.dump(body), accepted.location)


def _response(kind: str, accepted: Accepted, made: Made, told: Resource) -> Resource:
    """What became of each entry, in the order of the request; the first one carries what is told of the whole.

    Source: https://hl7.org/fhir/R4/bundle.html#transaction-response
    """
    entries = [{"response": _entry(name, accepted)} for name in made.names]
    if entries:
        entries[0]["response"]["outcome"] = told
    return {"resourceType": "Bundle", "id": str(uuid.uuid4()), "type": f"{kind}-response", "entry": entries}


def _became(accepted: Accepted, made: Made) -> Iterator[Finding]:
    """What became of each resource, for an answer that has no entries to tell it by."""
    for name in dict.fromkeys(made.names):
        entry = _entry(name, accepted)
        yield Finding("information", "informational", f"{entry['status']}: {entry['location']}")


def _entry(name: tuple[str, str], accepted: Accepted) -> Resource:
    """Status, address and version of one entry; of one that waits for its target there is no version yet."""
    location = "/".join(name)
    stands = (accepted.written or {}).get(name)
    if stands is None:
        return {"status": "202 Accepted" if accepted.location else "200 OK", "location": location}
    versioned = {} if stands.etag is None else {"etag": f'W/"{stands.etag}"'}
    address = location if stands.etag is None else f"{location}/_history/{stands.etag}"
    return {"status": _status(stands), "location": address, **versioned}


def _status(stands: Written) -> str:
    return "201 Created" if stands.created else "200 OK"


def _wrong_key(key: str) -> tuple[Finding, ...]:
    """What is wrong with an Idempotency-Key."""
    if len(key) > LONGEST_KEY or not key.isprintable():
        words = f"Idempotency-Key has more than {LONGEST_KEY} characters, or one that can't be shown"
        return (error("value", words, "Idempotency-Key", "HTTP-H05"),)
    return ()


def _unreadable(raw: bytes, fault: fhir.JsonError) -> Finding:
    """What was sent in place of FHIR's JSON, where that can be told."""
    start = raw.removeprefix(_MARK).lstrip(_BLANKS)
    if start.startswith((b"MSH|", b"FHS|", b"BHS|")):
        words = "the body is HL7 v2, not FHIR: send it with data-type: Hl7v2"
    elif start.startswith(b"<"):
        words = "the body is XML: send FHIR as JSON"
    else:
        words = fault.words
    return error("structure", words, fault.place, "FHIR-JSON")
