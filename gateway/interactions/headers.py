"""The request headers that the gateway reads: each at most once, near-misses named.

Source: the table of headers in `http-interface.md` of the design.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers

from gateway.finding import Finding
from gateway.interactions.refused import error
from gateway.source import nearest

DATA_TYPES = ("Hl7v2", "Fhir", "Csv")
DOMAIN, ORGANISATION, DATA_TYPE = "source-domain", "organisation-code", "data-type"
IDEMPOTENCY_KEY = "idempotency-key"
OPTIONAL = (IDEMPOTENCY_KEY, "purpose-of-use", "on-behalf-of", "break-glass-reason")
SHOWN = 8


@dataclass(frozen=True, slots=True)
class IngestHeaders:
    """What the three required headers said.

    Shape: values as sent (the first, where one came twice), empty where missing; `faults` by header name, in order.
    """

    domain: str
    organisation: str
    data_type: str
    faults: Mapping[str, Finding]


def once(headers: Headers, name: str) -> tuple[str | None, Finding | None]:
    """Value of a header that may be there once, or what is wrong.

    Errors: a duplicate is a finding, whatever its values.
    """
    values = headers.getlist(name)
    if len(values) > 1:
        return values[0], error(
            "invalid", f"header {name} was sent {len(values)} times; send it exactly once", name, "HTTP-H02"
        )
    return (trimmed(values[0]) if values else None), None


def trimmed(value: str) -> str:
    """Value without the blanks around it, of HTTP's two kinds alone. Source: RFC 9110 section 5.5."""
    return value.strip(" \t")


def optional_faults(headers: Headers) -> tuple[Finding, ...]:
    """Findings for optional headers that came more than once."""
    names = [name for name, _ in headers.raw]
    if len(set(names)) == len(names):
        return ()
    return tuple(fault for name in OPTIONAL if (fault := once(headers, name)[1]) is not None)


def ingest(headers: Headers, domains: Iterable[str], organisations: Iterable[str]) -> IngestHeaders:
    """Read and judge the required headers of `POST /$ingest`.

    Shape: `domains` are the declared sending domains, `organisations` the declared ODS codes in upper case.
    """
    known: dict[str, tuple[str, ...]] = {
        DOMAIN: tuple(domains),
        ORGANISATION: tuple(organisations),
        DATA_TYPE: DATA_TYPES,
    }
    faults: dict[str, Finding] = {}
    values: dict[str, str] = {}
    for name, accepted in known.items():
        value, fault = once(headers, name)
        values[name] = value or ""
        if fault is None:
            fault = _missing(headers, name, accepted) if not value else _unknown(name, value, accepted)
        if fault is not None:
            faults[name] = fault
    return IngestHeaders(values[DOMAIN], values[ORGANISATION], values[DATA_TYPE], faults)


def _missing(headers: Headers, name: str, accepted: tuple[str, ...]) -> Finding:
    strangers = [key for key in headers if key not in {DOMAIN, ORGANISATION, DATA_TYPE, *OPTIONAL}]
    near = [key for key in strangers if nearest(key.replace("_", "-"), [name]) and _alike(key, name)]
    hint = f"; {near[0]} was sent, the name is {name}" if near else ""
    return error("required", f"header {name} is missing{hint}; accepted values: {listed(accepted)}", name, "HTTP-H01")


def _alike(sent: str, name: str) -> bool:
    """Whether a header is a slip for another: enough of the same words."""
    words, wanted = set(sent.replace("_", "-").split("-")), set(name.split("-"))
    return len(words & wanted) >= 1 or sent.replace("-", "").replace("_", "") == name.replace("-", "")


def _unknown(name: str, value: str, accepted: tuple[str, ...]) -> Finding | None:
    fits = value.upper() in accepted if name == ORGANISATION else value in accepted
    if fits:
        return None
    near = nearest(value, accepted)
    if near is not None and near.casefold() == value.casefold():
        hint = f"; write {near}: the capitalisation matters"
    else:
        hint = f"; did you mean {near}?" if near else ""
    words = f"header {name} has the value {shown(value)}{hint}; accepted values: {listed(accepted)}"
    return error("value", words, name, "HTTP-H03")


def shown(value: str) -> str:
    """A sender's value as the gateway's own words may hold it: cut, and only harmless characters."""
    kept = "".join(c if c.isprintable() and c not in '"\\|^~&' else "?" for c in value[:64])
    return kept + ("..." if len(value) > len(kept) else "")


def listed(values: tuple[str, ...]) -> str:
    """Accepted values for people: the first few, and how many more."""
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return (", ".join(values[:SHOWN]) or "none") + more
