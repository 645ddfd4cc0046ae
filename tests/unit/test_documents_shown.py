"""What the documents tell of forbids, masks, links and broken glass."""

from __future__ import annotations

from gateway.documents.facade_paths import views_of
from gateway.documents.offer import Offer
from gateway.documents.offering import offered
from gateway.documents.parameters import headers_of, shared_parameters
from tests.conformance.rules.support import REGISTRY, ruled, vocabulary

RULES = """
permit P "GPs see"
  to search, read Patient, Condition
  rows Patient linked by Encounter.subject where Encounter.status is "finished"
  all rows Condition
forbid F "Restricted records"
  to search any
  when resource.meta.security has code "R" in "urn:s"
mask M "Addresses"
  to search, read Patient
  hide Patient.address
"""


def offer(registry: str = REGISTRY) -> Offer:
    return offered(ruled(RULES, registry=registry), vocabulary().tables)


def test_forbids_and_masks_stand_beside_what_is_granted() -> None:
    condition, patient = offer().types
    searching, reading = views_of(patient, "search"), views_of(patient, "read")
    assert "linked by Encounter.subject where Encounter.status is" in searching
    assert '- `F` Restricted records; when `resource.meta.security has code "R" in "urn:s"`; not shown' in searching
    assert "- `M` Addresses; hidden: Patient.address" in reading
    assert "`F`" not in reading
    assert "`M`" not in views_of(condition, "search")


def test_the_header_of_broken_glass_is_told_where_somebody_may() -> None:
    without, beside = offer(), offer(REGISTRY + 'principal breaker "x"\n  may break glass\n')
    name = "break-glass-reason"
    assert name not in shared_parameters(without)
    assert shared_parameters(beside)[name]["schema"]["minLength"] == 10
    assert [{"$ref": f"#/components/parameters/{name}"}] == headers_of(beside)[-1:]
    assert all(name not in one["$ref"] for one in headers_of(without))
