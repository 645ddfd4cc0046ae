"""A submission as drafts: each entry under its id, its references rewritten, its `meta` as a sender may write it.

Source: the gateway's design (conversion, identity and update).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.fhir.elements import Elements
from gateway.fhir.entries import Entry
from gateway.fhir.identifying import Naming, doubled
from gateway.fhir.jsonformat import Resource
from gateway.fhir.marks import Marks, is_mark
from gateway.fhir.merge import Draft
from gateway.fhir.references import Addresses, Rewriter, filled
from gateway.finding import Finding

_THE_SERVERS = frozenset({"versionId", "lastUpdated", "source"})


@dataclass(frozen=True, slots=True)
class Identified:
    """Entries under their ids.

    Shape: `names` are type and id of each entry, in order; `drafts` has each resource once.
    """

    names: tuple[tuple[str, str], ...]
    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...]


def identified(
    entries: Sequence[Entry], naming: Naming, elements: Elements, marks: Marks, facts: Mapping[str, str]
) -> Identified:
    """Give every entry its id, and let the others refer to it by that.

    Shape: `facts` are references by path that fill what a resource leaves to be understood.
    """
    findings: list[Finding] = []
    ids: list[str] = []
    for entry in entries:
        id_, wrong = naming.id_of(entry)
        ids.append(id_)
        findings.extend(wrong)
    findings.extend(doubled(entries, ids))
    addresses = Addresses(entries, ids, naming)
    drafts: dict[tuple[str, str], Draft] = {}
    names = [(entry.resource["resourceType"], id_) for entry, id_ in zip(entries, ids, strict=True)]
    for entry, name in zip(entries, names, strict=True):
        rewriter = Rewriter(entry, addresses, elements)
        resource = filled(rewriter.resource(), facts)
        findings.extend(rewriter.findings)
        meta, forged = _own_meta(resource.get("meta", {}), marks)
        if forged:
            words = "marks that only the gateway writes were left out"
            findings.append(Finding("warning", "business-rule", words, f"{entry.place}.meta", "FHIR-MARKS"))
        told = {n: value for n, value in resource.items() if n not in {"resourceType", "id", "meta"}}
        drafts.setdefault(
            name, Draft({"resourceType": name[0], "id": name[1], "meta": meta, **told}, only_new=entry.only_new)
        )
    return Identified(tuple(names), tuple(drafts.values()), tuple(findings))


def _own_meta(meta: Resource, marks: Marks) -> tuple[Resource, bool]:
    """What a sender may say of a resource, and whether it wrote marks that are the gateway's."""
    own = {name: value for name, value in meta.items() if name not in _THE_SERVERS}
    forged = False
    ours: tuple[tuple[str, Callable[[Resource], bool]], ...] = (
        ("tag", is_mark),
        ("extension", lambda one: one.get("url") == marks.told),
    )
    for member, is_ours in ours:
        sent = own.get(member, [])
        kept = [entry for entry in sent if not is_ours(entry)]
        forged = forged or len(kept) < len(sent)
        if member in own:
            own[member] = kept
    return {name: value for name, value in own.items() if value}, forged
