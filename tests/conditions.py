"""What tests of conditions share: what may be read, and how a condition is asked of a resource or a message."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from gateway.hl7v2 import Message
from gateway.language.check import check
from gateway.language.compile import Absent, compile_test
from gateway.language.lists import CodeList, NamedList
from gateway.language.nodes import Test
from gateway.language.types import Scope
from gateway.rules.facts import readable
from gateway.rules.reading import PATIENT, READER, RESOURCE
from tests.conformance.rules.support import NOW, TODAY, vocabulary
from tests.unit.test_language_compile import tree

SNOMED = "http://snomed.info/sct"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
YES, NO = "9990000018", "9990000026"

OPTED_OUT = NamedList("ndoo", "nhs-number", frozenset({YES}), date(2026, 5, 20))
SITES = NamedList("sites", "ods-code", frozenset({"R0D"}))
STALE = NamedList("stale", "nhs-number", frozenset({YES}), date(2026, 5, 1))
GONE = NamedList("gone", "nhs-number", None)
SENSITIVE = CodeList("sensitive", frozenset({(SNOMED, "29857009")}))
NO_CODES = CodeList("none", None)

FACTS, _ = readable(ingest=False, hl7v2=False, stored=True)
SCOPE = Scope(
    facts=FACTS,
    elements=vocabulary().elements,
    tables=vocabulary().tables,
    declared={"organisation": frozenset({"R0D", "RDZ"})},
    lists={"ndoo": OPTED_OUT, "sites": SITES, "stale": STALE, "gone": GONE},
    codes={"sensitive": SENSITIVE, "none": NO_CODES},
)
HL7 = replace(SCOPE, facts=readable(ingest=True, hl7v2=True)[0], dictionaries={"2.4": vocabulary().dictionaries["2.4"]})


def resolved(text: str, scope: Scope) -> Test:
    found = check(tree(text), scope)
    assert found.test is not None, [(d.code, d.message) for d in found.diagnostics]
    return found.test


def context(**more: Any) -> Any:
    caller = types.SimpleNamespace(organisations=frozenset({"R0D"}), roles=frozenset())
    facts = {"today": TODAY, "now": NOW, "glass": False, "caller": caller, "environment": "test", **more}
    return types.SimpleNamespace(**facts)


def of(
    text: str,
    resource: Mapping[str, Any],
    patient: Mapping[str, Any] | None = None,
    *,
    absent: Absent = "false",
    **facts: Any,
) -> bool:
    """What a condition about a resource says."""
    scope = replace(SCOPE, resources=frozenset({str(resource["resourceType"])}))
    asked = compile_test(resolved(text, scope), READER, variables=(RESOURCE, PATIENT), absent=absent)
    return asked(context(**facts), resource, patient)


def sent(text: str, told: Message, absent: Absent = "false") -> bool:
    """What a condition about a message says."""
    return compile_test(resolved(text, HL7), READER, absent=absent)(context(message=told))


def encounter(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", **more}


def condition(*codings: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Condition", "code": {"coding": list(codings)}}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **more}
