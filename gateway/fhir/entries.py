"""A submission as its entries: what is to be stored, where it stands, and what was asked to be done with it.

Source: https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from gateway.fhir.cleaning import clean
from gateway.fhir.jsonformat import Resource
from gateway.finding import Finding

BUNDLES = ("transaction", "batch", "collection", "message")
"""Types of Bundles that can be submitted."""

REQUESTED = frozenset({"transaction", "batch"})
"""Those whose entries say what is to be done with them, and that are answered entry by entry."""

_NOT_STORED = frozenset({"Bundle", "Parameters"})
_AT_THE_FACADE = {
    "GET": "what is stored is asked for at the facade: GET /Patient?...",
    "HEAD": "what is stored is asked for at the facade: GET /Patient?...",
    "DELETE": "nothing is deleted by a submission: send the resource with a status that says so (entered-in-error)",
    "PATCH": "send the whole resource",
}
_CONDITIONS = {
    "ifMatch": "what is sent is merged with what stands; a version that was read is updated at the facade",
    "ifNoneMatch": "to store only what is new, POST with ifNoneExist",
    "ifModifiedSince": "nothing is read by a submission",
}
_LONGEST_SHOWN = 60
_NAMED = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})")


@dataclass(frozen=True, slots=True)
class Token:
    """An identifier that a search names: `identifier=system|value`. Shape: `system` is empty for none."""

    system: str
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a submission.

    Shape: `place` is where the resource stands (`Bundle.entry[2].resource`, `Encounter`); `full_url` is empty for none;
    `own_id` is the id by which its sender will know it again, empty for none; `known_by` an identifier that the request
    named in place of an id; `only_new` says that what stands already is to be left as it is.
    """

    place: str
    resource: Resource
    full_url: str = ""
    own_id: str = ""
    known_by: Token | None = None
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A submission taken apart.

    Shape: `bundle` is the Bundle's type, None for a single resource; `header` is the MessageHeader of a message;
    `left` are paths of what is neither stored nor acted on.
    """

    bundle: str | None
    entries: tuple[Entry, ...]
    header: Resource | None
    left: tuple[str, ...]
    findings: tuple[Finding, ...]


def taken(submission: Resource) -> Taken:
    """Take a valid submission apart; what can't be done as asked is an error finding."""
    name = submission["resourceType"]
    if name != "Bundle":
        findings = tuple(_unfit(submission, name))
        return Taken(None, (Entry(name, submission, own_id=submission.get("id", "")),), None, (), findings)
    kind = str(submission.get("type"))
    if kind not in BUNDLES:
        words = f"a Bundle of type {_shown(kind)} is not taken; send one of {', '.join(BUNDLES)}"
        return Taken(kind, (), None, (), (_error("not-supported", "FHIR-BUNDLE", "Bundle.type", words),))
    apart = _Apart(kind)
    for i, entry in enumerate(submission.get("entry", ())):
        apart.entry(f"Bundle.entry[{i}]", entry)
    if not apart.entries and not apart.findings:
        apart.findings.append(
            _error("required", "FHIR-BUNDLE", "Bundle.entry", "the Bundle holds nothing to be stored")
        )
    known = {"resourceType", "id", "meta", "identifier", "type", "timestamp", "entry"}
    left = [f"Bundle.{member}" for member in submission if member not in known]
    return Taken(kind, tuple(apart.entries), apart.header, (*left, *apart.left), tuple(apart.findings))


class _Apart:
    """One Bundle while it is taken apart."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.entries: list[Entry] = []
        self.header: Resource | None = None
        self.left: list[str] = []
        self.findings: list[Finding] = []

    def entry(self, path: str, entry: Resource) -> None:
        resource, request = entry.get("resource"), entry.get("request", {})
        self.left.extend(f"{path}.{m}" for m in entry if m not in {"id", "fullUrl", "resource", "request"})
        place = f"{path}.resource"
        method = request.get("method", "")
        if self.kind in REQUESTED and method not in {"POST", "PUT"}:
            words = f"{method} is not taken in a submission: {_AT_THE_FACADE.get(method, 'POST or PUT it')}"
            self.findings.append(_error("not-supported", "FHIR-METHOD", f"{path}.request.method", words))
            return
        if resource is None:
            self.findings.append(_error("required", "FHIR-BUNDLE", place, "the entry carries no resource"))
            return
        if self.kind == "message" and self.header is None and resource["resourceType"] == "MessageHeader":
            self.header = resource
            self.left.append(place)
            return
        self.findings.extend(_unfit(resource, place))
        full_url = entry.get("fullUrl", "")
        if self.kind in REQUESTED:
            self.requested(f"{path}.request", Entry(place, resource, full_url), request)
        else:
            self.entries.append(Entry(place, resource, full_url, resource.get("id", "")))

    def requested(self, path: str, entry: Entry, request: Resource) -> None:
        """One entry of a transaction or a batch, whose method is POST or PUT."""
        for member, words in _CONDITIONS.items():
            if member in request:
                self.findings.append(
                    _error("not-supported", "FHIR-COND", f"{path}.{member}", f"{member} is not taken: {words}")
                )
        resource, url = entry.resource, str(request.get("url", "")).removeprefix("/")
        name, own = resource["resourceType"], resource.get("id", "")
        own_id, known_by, only_new = "", None, "ifNoneExist" in request
        if request["method"] == "POST":
            fits = url == name
            wanted = name
            if only_new:
                known_by = token(str(request["ifNoneExist"]).removeprefix(f"{name}?").removeprefix("?"))
                if known_by is None:
                    self.unsearchable(f"{path}.ifNoneExist")
        elif url.startswith(f"{name}?"):
            fits, wanted = True, name
            known_by = token(url.partition("?")[2])
            if known_by is None:
                self.unsearchable(f"{path}.url")
        else:
            found = _NAMED.fullmatch(url)
            fits = found is not None and found[1] == name and found[2] == own
            wanted, own_id = f"{name}/{own or '[id]'}, with the same id in the resource", own
        if not fits:
            words = f"{request['method']} {_shown(url)} does not fit the resource: the address is {wanted}"
            self.findings.append(_error("value", "FHIR-URL", f"{path}.url", words))
        self.entries.append(Entry(entry.place, resource, entry.full_url, own_id, known_by, only_new))

    def unsearchable(self, path: str) -> None:
        words = "a resource is looked for by one identifier alone: identifier= and then system, bar and value"
        self.findings.append(_error("not-supported", "FHIR-COND", path, words))


def token(query: str) -> Token | None:
    """The identifier that a query asks for; None where it asks for anything else."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(pairs) != 1 or pairs[0][0] != "identifier" or "," in pairs[0][1]:
        return None
    system, bar, value = pairs[0][1].rpartition("|")
    return Token(system if bar else "", value) if value else None


def placed(submission: Resource) -> dict[str, list[tuple[str, Resource]]]:
    """Every resource that rules may read, by type, each with its place: the submission itself and its entries."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for place, resource in _each(submission):
        found.setdefault(resource["resourceType"], []).append((place, resource))
    return found


def _each(submission: Resource) -> Iterator[tuple[str, Resource]]:
    name = submission["resourceType"]
    yield name, submission
    if name == "Bundle":
        for i, entry in enumerate(submission.get("entry", ())):
            if "resource" in entry:
                yield f"Bundle.entry[{i}].resource", entry["resource"]


def _unfit(resource: Resource, place: str) -> Iterator[Finding]:
    name = resource["resourceType"]
    if name in _NOT_STORED:
        yield _error("not-supported", "FHIR-BUNDLE", place, f"a {name} is not stored: send the resources that it holds")
    if "implicitRules" in resource:
        words = "rules that the gateway does not know would change what this resource means: leave implicitRules out"
        yield _error("not-supported", "FHIR-RULES", f"{place}.implicitRules", words)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _error(code: str, rule: str, place: str, words: str) -> Finding:
    return Finding("error", code, clean(words), place, rule)
