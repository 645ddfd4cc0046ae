"""Why a decision was made: the rules with what was seen, the nearest permit, as text, as JSON and as a page."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway import explaining, journal, specs
from gateway.config import Settings
from gateway.explaining import Desk, Explained, NotExplained, Question
from gateway.journal import sqlite_schema, sqlite_statements
from gateway.language import nodes
from gateway.rules.account import data, page, told
from gateway.rules.account.explain import Account, Explainer
from gateway.rules.account.walk import Seen
from tests.conformance.rules.support import NOW, ROOT, message, question, ruled, shipped, submission

SAMPLES = sorted(
    path
    for path in (ROOT / "rules" / "samples").glob("*/*.*")
    if path.suffix in explaining.SUFFIXES and path.name.startswith(("accepted", "refused"))
)
DAY = date(2026, 5, 15)


@functools.cache
def desk() -> Desk:
    return explaining.desk(ROOT / "rules", specs.ROOT)


def account(*segments: str, **changed: str) -> Account:
    facts = submission(shipped(), message(*segments), "demo-engine", domain="emergency-care", **changed)
    return Explainer(shipped()).explain(facts)


def seen(judged: Seen) -> list[tuple[str, bool | None]]:
    """The comparisons of a condition with what became of them."""
    inner = [one for part in judged.parts for one in seen(part)]
    return inner or [(judged.test.span.text, judged.outcome)]


def of(found: Explained) -> Account:
    assert found.account is not None, found.wrong
    return found.account


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_shipped_sample_is_explained_as_it_is_decided(path: Path) -> None:
    found = tuple(desk().file(path, Question(day=DAY)))
    assert all(one.account.agrees() for one in found if one.account is not None)
    refused = [one for one in found if one.wrong or one.account is None or one.account.effect != "permit"]
    assert bool(refused) is path.name.startswith("refused")


def test_the_rule_that_decided_stands_first_with_what_was_seen_of_each_repetition() -> None:
    found = account("PID|1||9990000018^^^NHS^NH~9990000019^^^NHS^NH", "PV1|1|E")
    assert (found.effect, found.by) == ("refuse", ("EC-C1",))
    (check,) = found.deciding()
    asked = [(clause.word, clause.at, clause.seen.outcome) for clause in check.clauses]
    assert asked == [
        ("where", "PID-3[1]", True), ("require", "PID-3[1]", True), ("where", "PID-3[2]", True),
        ("require", "PID-3[2]", False),
    ]  # fmt: skip
    last = check.clauses[-1].seen
    assert [(read.operand.span.text, read.value) for read in last.reads] == [("id.1", "9990000019")]


def test_an_accepted_message_is_told_with_what_is_laid_over_its_maps() -> None:
    found = account("PID|1||9990000018^^^NHS^NH", "PV1|1|E")
    assert (found.effect, found.overlays) == ("permit", ("uk-core",))
    assert "  converted with uk-core" in told.text(told.told(found)).splitlines()
    assert data.account(found, shipped().registry)["convertedWith"] == ["uk-core"]
    assert "converted with uk-core" in "\n".join(page.account(found))
    refused = account("PID|1||9990000019^^^NHS^NH", "PV1|1|E")
    assert (refused.effect, refused.overlays) == ("refuse", ())
    assert "converted with" not in told.text(told.told(refused))


def test_what_the_decision_never_came_to_is_marked() -> None:
    found = account(organisation="RDZ")
    (permit,) = [judged for judged in found.rules if judged.rule.id == "EC-P1"]
    outcomes = [(part.outcome, part.asked) for part in permit.clauses[0].seen.parts]
    assert outcomes == [(False, True), (False, False), (True, False)]
    assert [judged.asked for judged in found.rules if judged.rule.id.startswith("EC-C")] == [False] * 3


def test_the_nearest_permit_is_named_with_what_kept_it_from_granting() -> None:
    found = account(organisation="RDZ").nearest
    assert found is not None
    assert found.judged.rule.id == "EC-P1"
    assert [one.test.span.text for one in found.failed] == [
        "caller connects as organisation", "caller sends as organisation",
    ]  # fmt: skip
    searched = of(desk().search("Patient?family=Smith", Question("dorset-gp", purpose="TREAT", day=DAY))).nearest
    assert searched is not None
    assert (searched.judged.rule.id, searched.failed) == ("SR-P1", ())
    assert searched.lacks == ("the search must carry _id or identifier or family with birthdate",)


@pytest.mark.parametrize(
    ("day", "purpose", "words"),
    [
        (date(2036, 4, 1), "TREAT", "is in force from 2026-04-01 to 2036-03-31, and the day is 2036-04-01"),
        (DAY, None, "is for TREAT, and the purpose is not given"),
    ],
)
def test_an_agreement_that_does_not_cover_the_request_is_said(day: date, purpose: str | None, words: str) -> None:
    found = of(desk().search("Patient?_id=1", Question("dorset-gp", purpose=purpose, day=day)))
    assert found.nearest is not None
    assert f"agreement DSA-2026-021 {words}" in found.nearest.lacks


def test_a_rule_that_can_not_be_decided_says_why_and_not_with_what() -> None:
    rules = ruled(
        'permit P "x"\n  to ingest\nforbid F "x"\n  to ingest\n  on Hl7v2\n  when PID-1 is present and PID-1 > 5\n'
    )
    found = Explainer(rules).explain(submission(rules, message("PID|secret", "PV1|1|E")))
    assert (found.effect, found.by, found.erred) == ("deny", ("F",), ("F",))
    (forbid,) = found.deciding()
    last = forbid.clauses[0].seen.parts[-1]
    assert (last.outcome, last.why) == (None, "a value is not a number")


def test_text_puts_carets_under_conditions_with_the_values() -> None:
    lines = told.text(told.told(account("PID|1", "PV1|1|I"))).splitlines()
    under = next(i for i, line in enumerate(lines) if 'require PV1-2 "Patient Class" is present' in line)
    assert lines[under + 2].endswith('^^^^^^^^^^^^ false: PV1-2 is "I"')
    assert lines[under + 2].index("^") == lines[under].index('PV1-2 is "E"')


def test_a_named_condition_is_told_with_its_meaning_and_its_place() -> None:
    facts = submission(shipped(), message(kind="ADT^A03"), "demo-engine", domain="emergency-care")
    text = told.text(told.told(Explainer(shipped()).explain(facts)))
    assert "discharged\n" in text
    assert ' = message.type is ADT^A03 (rules/emergency-care.rules:22:9) true: message.type is "ADT^A03"' in text


def test_the_account_as_json_holds_every_rule_and_condition() -> None:
    found = account("PID|1||9990000019^^^NHS^NH", "PV1|1|E")
    values = json.loads(json.dumps(data.account(found, shipped().registry)))
    assert (values["effect"], values["by"], values["digest"]) == ("refuse", ["EC-C1"], shipped().digest)
    first = values["rules"][0]
    assert (first["id"], first["kind"], first["place"]) == ("EC-C1", "check", shipped().places["EC-C1"])
    assert first["source"].startswith('check EC-C1 "NHS numbers pass their check digit"')
    require = first["clauses"][-1]["condition"]
    assert (require["outcome"], require["values"]) == (False, {"id.1": "9990000019"})
    assert require["words"] == "id.1 is a valid NHS number"


class Links(HTMLParser):
    """The addresses and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name == "href"]


def test_the_page_links_to_the_rule_and_shows_what_was_sent_as_text() -> None:
    found = page.page("x", page.account(account("PID|1||<script>alert(1)</script>^^^NHS^NH", "PV1|1|E")))
    links = Links()
    links.feed(found)
    assert "/rules#EC-C1" in links.addresses
    assert "script" not in links.tags
    assert "&lt;script&gt;" in found


def test_a_receipt_is_explained_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    receipt = "3f2b1c52-9f0e-4f1c-8a54-0123456789ab"
    sent = journal.Submission(
        receipt=receipt, received=NOW.isoformat(), principal="uhd-mirth", user=None, purpose=None,
        organisation="R0D", domain="emergency-care", data_type="Hl7v2", charset=None, type="ADT^A01", control_id="1",
        key=None, body_hash="x", body=bytes(message("PID|1||9990000019^^^NHS^NH", "PV1|1|E")), rules="x",
        window=shipped().domains["emergency-care"].window,
    )  # fmt: skip
    _keep(path, sent)
    assert explaining.is_receipt(receipt)
    (found,) = desk().receipt(Settings(data=tmp_path), receipt, Question())
    assert (of(found).effect, of(found).by, of(found).facts.caller.name) == ("refuse", ("EC-C1",), "uhd-mirth")
    assert of(found).facts.now == NOW
    assert found.name.endswith("which other rules judged then")
    with pytest.raises(NotExplained, match="no receipt"):
        list(desk().receipt(Settings(data=tmp_path), receipt.replace("3", "4"), Question()))


def _keep(path: Path, sent: journal.Submission) -> None:
    connection = sqlite_schema.connect(path)
    sqlite_statements.claim(connection, sent, None)
    connection.close()


@pytest.mark.parametrize(
    ("address", "asked", "words"),
    [
        ("Patiend?_id=1", Question("dorset-gp"), "did you mean Patient?"),
        ("Patient?_id=1", Question("dorset-pg"), "did you mean dorset-gp?"),
        ("Patient?_id=1", Question(), "--from PRINCIPAL"),
        ("Patient?_id=1", Question("dorset-gp", purpose="TRAET"), "did you mean TREAT?"),
    ],
)
def test_a_question_that_can_not_be_put_says_what_would_help(address: str, asked: Question, words: str) -> None:
    with pytest.raises(NotExplained) as fault:
        desk().search(address, asked)
    assert words in str(fault.value)


def test_a_read_and_a_search_that_nobody_grants_are_explained() -> None:
    asked = Question("dorset-gp", purpose="TREAT", day=DAY)
    assert of(desk().search("Patient/1", asked)).by == ("SR-P1",)
    assert of(desk().search("Patient/1/_history", asked)).effect == "deny"
    assert of(desk().search("Device?_id=1", asked)).agrees()
    assert desk().search("Patient?nonsense=1", asked).account is None


def test_absence_is_told() -> None:
    rules = ruled('permit P "x"\n  to read Encounter\n  when user is present and purpose is TREAT\n  all rows\n')
    facts = replace(question(rules, "Encounter", action="read"), user=None)
    found = Explainer(rules).explain(facts)
    assert found.nearest is not None
    assert [told.says(one) for one in found.nearest.failed] == ["false: user is absent"]
    assert isinstance(found.nearest.failed[0].test, nodes.Present)
