"""`require message conforms`: what a check tells of departures from the standard, and where that is said.

Source: `conversion.md` of the design ("severities by kind"); `rules-language.md`, meaning 7.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.documents.offering import offered
from gateway.documents.rule_words import TOLD
from gateway.documents.words import demand
from gateway.finding import Finding
from gateway.hl7v2 import Message
from gateway.hl7v2.conformance import KINDS, MOST, severity_of
from gateway.rules import RuleSet, load_sources
from gateway.rules.account import told
from gateway.rules.account.difference import difference
from gateway.rules.account.explain import Explainer
from gateway.rules.account.words import UNTITLED
from gateway.rules.declared import Check
from gateway.rules.ground import Vocabulary
from gateway.rules.layout import lay
from gateway.source import Source
from tests.conformance.rules.support import DOMAIN, INGEST, REGISTRY, message, ruled, submission, vocabulary

CHECK = """
check C "Messages keep to the standard"
  on Hl7v2
  require message conforms
  otherwise {}
"""
SOUND = ("EVN|A01|20260515120000", "PID|1||9990000018^^^NHS^NH||Tallis^Marian", "PV1|1|E")
LONG = ("EVN|A01|20260515120000", "PID|1||9990000018^^^NHS^NH||Tallis^Marian||x", f"PV1|1|E|{'1' * 50}")


def check(otherwise: str, *more: str) -> RuleSet:
    return ruled(INGEST + CHECK.format("\n  ".join((otherwise, *more))))


def found(rules: RuleSet, sent: Message) -> Sequence[Finding]:
    return rules.decide(submission(rules, sent)).findings


def told_by(rules: RuleSet, sent: Message) -> list[tuple[str, str, str | None]]:
    return [(one.severity, one.code, one.expression) for one in found(rules, sent)]


def test_a_domain_without_such_a_check_is_not_judged() -> None:
    rules = ruled(INGEST)
    assert rules.decide(submission(rules, message("PV1|1|E"))).findings == ()


def test_a_sound_message_is_taken() -> None:
    rules = check("error")
    assert rules.decide(submission(rules, message(*SOUND, version="2.5.1"))).effect == "permit"


def test_each_departure_is_a_finding_of_its_own_with_its_kind_s_issue_type() -> None:
    rules = check("error")
    decision = rules.decide(
        submission(rules, message("PID|1||9990000018||Tallis^Marian||x", "PV1|1|E", version="2.5.1"))
    )
    assert (decision.effect, decision.by) == ("refuse", ("C",))
    assert [(one.severity, one.code, one.expression, one.rule) for one in decision.findings] == [
        ("error", "required", "PID", "C"),
        ("error", "value", "PID-7.1", "C"),
    ]
    assert decision.findings[1].diagnostics.startswith("x is no DTM: write it as YYYYMMDD")


def test_the_check_s_own_issue_type_and_words_stand_where_it_gives_them() -> None:
    rules = check('error structure "ask the help desk"')
    (one,) = found(rules, message(*SOUND[:2], "PV1|1", version="2.5.1"))
    assert (one.code, one.expression) == ("structure", "PV1-2")
    assert one.diagnostics == "ask the help desk: PV1-2 Patient class is empty, and HL7 2.5.1 requires it: send it"


def test_severities_go_by_kind() -> None:
    sent = message(
        "PID|1||9990000018||Tallis^Marian||x|1", "PV1|1|E|WARD-WITH-A-NAME-OF-MORE-THAN-TWENTY", version="2.5.1"
    )
    assert told_by(check("error", "except required as warning", "except type, length as information"), sent) == [
        ("warning", "required", "PID"),
        ("information", "value", "PID-7.1"),
        ("information", "too-long", "PV1-3.1"),
    ]
    assert told_by(check("error", "except required, type, length as ignored"), sent) == []
    assert told_by(check("warning", "except length as ignored"), sent) == [
        ("warning", "required", "PID"),
        ("warning", "value", "PID-7.1"),
    ]
    assert told_by(
        check("information", "except required, type, length as ignored", "except user-table as error"), sent
    )[:1] == [("error", "code-invalid", "PID-8")]


@pytest.mark.parametrize(
    ("kind", "otherwise", "severity"),
    [
        ("required", "error", "error"),
        ("required", "warning", "warning"),
        ("length", "error", "warning"),
        ("length", "information", "information"),
        ("withdrawn", "error", "warning"),
        ("user-table", "error", None),
    ],
)
def test_a_kind_is_told_as_the_check_says_but_for_what_it_is_at_most(
    kind: str, otherwise: str, severity: str | None
) -> None:
    assert severity_of(kind, otherwise) == severity  # type: ignore[arg-type] # severities are written as text here
    assert kind in KINDS


def test_a_message_with_warnings_alone_is_taken_with_them() -> None:
    rules = check("warning")
    decision = rules.decide(submission(rules, message("PV1|1|E", version="2.5.1")))
    assert decision.effect == "permit"
    assert {one.severity for one in decision.findings} == {"warning"}


def test_an_error_behind_many_warnings_still_refuses() -> None:
    rules = check("error", "except type as warning")
    many = [f"NK1|x{number}" for number in range(MOST + 20)]
    decision = rules.decide(submission(rules, message(*SOUND[:2], *many, "PV1|1", version="2.5.1")))
    assert decision.effect == "refuse"
    severities = [one.severity for one in decision.findings]
    assert severities == [*["warning"] * (MOST - 1), "error", "information"]
    assert decision.findings[-1].diagnostics.startswith(f"the first {MOST} departures")
    assert rules.decide(submission(rules, message(*SOUND[:2], *many, "PV1|1|E", version="2.5.1"))).effect == "permit"


def test_beside_other_conditions_it_is_one_requirement() -> None:
    demand = 'MSH-11.1 is present and (MSH-11.1 is "T" or message conforms)'
    rules = ruled(f'{INGEST}check C "x"\n  on Hl7v2\n  require {demand}\n  otherwise error structure\n')
    assert told_by(rules, message(*SOUND, version="2.5.1")) == []
    assert told_by(rules, message(*SOUND[1:], version="2.5.1")) == [("error", "structure", "MSH-11.1")]
    assert told_by(rules, message(*SOUND[1:], version="2.5.1", msh11="T")) == []
    # what is a warning of itself is no departure for it
    assert told_by(rules, message(*SOUND[:2], "PV1|1|E|" + "W" * 21, version="2.5.1")) == []


def test_a_permit_may_ask_for_it() -> None:
    rules = ruled(INGEST.replace("to ingest", "to ingest\n  on Hl7v2\n  when message conforms"))
    assert rules.decide(submission(rules, message(*SOUND, version="2.5.1"))).effect == "permit"
    assert rules.decide(submission(rules, message("PV1|1|E", version="2.5.1"))).effect == "deny"


@pytest.mark.parametrize("otherwise", ["error", "warning", 'error structure "x"'])
def test_explain_says_what_is_decided(otherwise: str) -> None:
    rules = check(otherwise)
    for sent in (message(*SOUND, version="2.5.1"), message("PV1|1", version="2.5.1")):
        account = Explainer(rules).explain(submission(rules, sent))
        assert account.agrees()
        assert "message is" not in told.text(told.told(account))
    assert "PV1-2 Patient class is empty" in told.text(told.told(account))
    assert "require message conforms" in told.text(told.told(account))
    assert "^^^^^^^^^^^^^^^^ false" in told.text(told.told(account))


def test_diff_tells_what_becomes_of_a_kind() -> None:
    old, new = check("error"), check("error", "except table, length as warning", "except type as ignored")
    (change,) = difference(old, new).changes
    assert change.words == (
        "check C now says: the message keeps to the standard; departures in table and length warn; "
        "departures in type are ignored (before: the message keeps to the standard)"
    )
    assert difference(new, old).changes != ()
    assert difference(new, new).changes == ()


def test_documents_say_it_in_words() -> None:
    (own,) = check("error", "except table, length as warning").domains["here"].checks
    assert demand(own, UNTITLED) == "the message keeps to the standard; departures in table and length warn"
    (plain,) = check("error").domains["here"].checks
    assert demand(plain, UNTITLED) == "the message keeps to the standard"
    assert TOLD[Check](plain, UNTITLED) == (
        "Refuses Hl7v2 unless the message keeps to the standard. It tells each departure by itself."
    )
    (worded,) = check('warning structure "ask us"').domains["here"].checks
    assert TOLD[Check](worded, UNTITLED).endswith("It tells each departure by itself, with before it: ask us.")


def test_the_openapi_document_says_it_in_words() -> None:
    (domain,) = offered(check("error", "except table as ignored"), vocabulary().tables).domains
    assert [one.words for one in domain.checks] == [
        "error by kind of departure: the message keeps to the standard; departures in table are ignored"
    ]
    (domain,) = offered(check("error structure"), vocabulary().tables).domains
    assert domain.checks[0].words.startswith("error structure: the message keeps")


def test_fmt_leaves_it_as_it_is_written() -> None:
    text = "language 1\n" + CHECK.format("error\n  except length, table as warning\n  except type as ignored")
    laid = lay(Source("x.rules", text)).text
    assert laid == text
    assert lay(Source("x.rules", text.replace("\n  except length", "   except length"))).text == text


def test_a_version_whose_dictionary_is_withheld_is_a_diagnostic() -> None:
    whole = vocabulary()
    withheld = {version: one for version, one in whole.dictionaries.items() if version != "2.5.1"}
    names = Vocabulary(withheld, whole.elements, whole.tables, whole.layouts, whole.overlays, whole.conformance)
    sources = [Source("0.rules", REGISTRY), Source("1.rules", DOMAIN + INGEST + CHECK.format("error"))]
    said = [one for one in load_sources(sources, names).diagnostics if one.severity == "error"]
    assert ("R048", "2.5.1") in [(one.code, one.span.text) for one in said]


def test_a_message_of_a_version_without_a_dictionary_departs_from_the_standard() -> None:
    (one,) = found(check("error"), message(*SOUND, version="2.9"))
    assert (one.severity, one.expression) == ("error", "MSH-12")
