"""Rule files as a directory; a second domain by a file alone; registry and domain as documents read them."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from gateway.hl7v2 import Message
from gateway.rules import Caller, Facts, load
from gateway.rules.load import digest, load_sources
from gateway.source import Source, render
from tests.conformance.rules.support import INGEST, NOW, ROOT, message, read, ruled, submission, vocabulary

SECOND = """language 1

domain minor-injuries "Minor injuries"
  owner "Board"

accept Hl7v2 ADT^A01
  versions 2.4 to 2.5

permit MI-P1 "Units send for themselves"
  to ingest
  when caller sends as organisation and caller sends category message.type

check MI-C1 "A visit has a number"
  on Hl7v2
  require PV1-19 is present
  otherwise error required "PV1-19 is missing"

route MI-R1 "To the record"
  on Hl7v2
  to record on failure queue for 2 hours
"""


def copied(to: Path) -> Path:
    shutil.copytree(ROOT / "rules", to / "rules")
    return to / "rules"


def test_a_second_domain_is_a_file(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    registry = folder / "registry.rules"
    before = load(folder, vocabulary()).rules
    assert before is not None
    sent = message("PV1|1|E" + "|" * 17 + "42")
    assert before.decide(_to(before.caller("demo-engine"), sent)).effect == "deny"

    (folder / "minor-injuries.rules").write_text(SECOND, encoding="utf-8")
    lines = registry.read_text(encoding="utf-8")
    registry.write_text(
        lines.replace(
            'principal demo-engine "Demonstration engine"',
            'principal demo-engine "Demonstration engine"\n  sends category minor-injuries ADT^A01',
        ),
        encoding="utf-8",
    )
    found = load(folder, vocabulary())
    assert found.rules is not None, [render(d) for d in found.diagnostics]
    decision = found.rules.decide(_to(found.rules.caller("demo-engine"), sent))
    assert (decision.effect, decision.by) == ("permit", ("MI-P1",))
    assert [(r.target, r.hold, r.order_key) for r in decision.routes] == [("record", timedelta(hours=2), None)]
    refused = found.rules.decide(_to(found.rules.caller("demo-engine"), message()))
    assert refused.by == ("MI-C1",)
    assert found.rules.digest != before.digest
    # the first domain's rules are not the second's
    assert "EC-C1" not in decision.by
    assert found.rules.domains["minor-injuries"].window == timedelta(days=7)


def _to(caller: Caller | None, sent: Message) -> Facts:
    assert caller is not None
    return Facts(
        "ingest", caller, "test", NOW, NOW.date(), domain="minor-injuries", organisation="R0D", data_type="Hl7v2",
        message=sent, type="ADT^A01", received=NOW,
    )  # fmt: skip


def test_the_example_of_the_readme_loads(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    readme = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
    blocks = [text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE) if not kind]
    domain = next(block for block in blocks if block.startswith("language 1"))
    (folder / "walk-in.rules").write_text(domain, encoding="utf-8")
    principal = next(block for block in blocks if block.startswith("principal "))
    registry = folder / "registry.rules"
    registry.write_text(registry.read_text(encoding="utf-8") + "\n" + principal, encoding="utf-8")
    found = load(folder, vocabulary())
    assert [render(d) for d in found.diagnostics] == []
    assert found.rules is not None
    assert "walk-in" in found.rules.domains
    facts = submission(found.rules, message(), "walk-in-engine", domain="walk-in", organisation="RDZ")
    assert found.rules.decide(facts).effect == "permit"


def test_files_below_are_read_in_order_and_others_left(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    (folder / "sites").mkdir(parents=True)
    (folder / "notes.txt").write_text("not rules", encoding="utf-8")
    (folder / "sites" / "b.rules").write_text('language 1\nrole second "x"\n', encoding="utf-8")
    (folder / "a.rules").write_text('language 1\nrole first "x"\n', encoding="utf-8")
    rules = load(folder, vocabulary()).rules
    assert rules is not None
    assert [source.name for source in rules.sources] == ["rules/a.rules", "rules/sites/b.rules"]
    assert sorted(rules.registry.roles) == ["first", "second"]


def test_a_folder_without_rules(tmp_path: Path) -> None:
    found = load(tmp_path, vocabulary())
    assert found.rules is None
    assert [d.code for d in found.diagnostics] == ["R080"]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.rules").write_bytes(b'language 1\nrole r "\xff"\n')
    (tmp_path / "b.rules").write_text('language 1\nrole r "x"\n', encoding="utf-8")
    found = load(tmp_path, vocabulary())
    assert found.rules is None
    assert [(d.code, d.span.source.name) for d in found.diagnostics] == [("R079", f"{tmp_path.name}/a.rules")]


def test_one_broken_statement_is_one_error() -> None:
    found = read('permit P "x\n  to ingest\n' + INGEST.split('permit P "Anyone"\n  to ingest')[1])
    assert [d.code for d in found.diagnostics] == ["R003"]


def test_a_broken_domain_statement_is_one_error() -> None:
    found = read(INGEST, 'language 1\ndomain other "Other\npermit O "x"\n  to ingest\n')
    assert [d.code for d in found.diagnostics] == ["R003"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\n\n"])
def test_a_file_without_a_statement_is_one_error(text: str) -> None:
    found = load_sources([Source("rules/empty.rules", text)], vocabulary())
    assert [d.code for d in found.diagnostics] == ["R008"]


SLIPS = (
    ("set training-modes = ", "set training-modes "),  # what it declares is missing then, which is no mistake of EC-F1
    ("caller sends category message.type", "caller sends category mesage.type"),
    ("environment is", "environmnt is"),
    ("for each id in PID-3 where", "for each id in PID-3 wher"),
    ("when discharged", "when dischargd"),
    ("on Hl7v2 admissions", "on Hl7v2 admisions"),
    ('"Patient Class" is present', '"Patient Clas" is present'),
    ("on result Encounter", "on result Encountr"),
    ("  to record\n  and to bed-board", "  to recrd\n  and to bed-board"),
    ("  and to bed-board", "  and to bed-bord"),
)


def test_ten_mistakes_are_ten_in_order_whatever_can_not_be_read() -> None:
    texts = {path.name: path.read_text("utf-8") for path in (ROOT / "rules").glob("*.rules")}
    right = wrong = texts.pop("emergency-care.rules")
    for meant, slip in SLIPS:
        assert meant in wrong
        wrong = wrong.replace(meant, slip, 1)
    others = [Source(f"rules/{name}", text) for name, text in texts.items() if not name.endswith(".test.rules")]
    found = load_sources([*others, Source("rules/emergency-care.rules", wrong)], vocabulary())
    told = [d for d in found.diagnostics if d.severity == "error"]
    pairs = zip(right.splitlines(), wrong.splitlines(), strict=True)
    lines = [number for number, (one, other) in enumerate(pairs, 1) if one != other]
    assert len(lines) == len(SLIPS)
    assert [d.span.line for d in told] == lines, "".join(render(d) for d in told)


def test_carriage_returns_and_a_missing_last_line_end() -> None:
    rules = ruled(INGEST.replace("\n", "\r\n").rstrip())
    assert rules.decide(submission(rules)).effect == "permit"


def test_the_digest_tells_texts_and_names_apart() -> None:
    texts = [Source("a", "x"), Source("b", "y")]
    assert digest(texts) == digest(reversed(texts))
    assert len({digest(texts), digest([Source("a", "xb"), Source("", "y")]), digest([Source("ab", "xy")])}) == 3


def test_ends_are_warned_of_only_with_a_day() -> None:
    assert load(ROOT / "rules", vocabulary()).diagnostics == ()
    soon = load(ROOT / "rules", vocabulary(), today=date(2027, 3, 1))
    assert {d.code for d in soon.diagnostics} == {"R077"}
    assert soon.rules is not None
    assert load(ROOT / "rules", vocabulary(), today=date(2026, 4, 1)).diagnostics == ()


def test_what_documents_read_of_a_domain() -> None:
    rules = ruled(
        INGEST,
        """language 1
domain other "Other domain"
  owner "A board"
  contact "board@example.org"
  acknowledge hl7-over-http without outcome
  same control id accept for 2 weeks
accept Hl7v2 ADT^A01
route O-R "x"
  to record
  and to board on failure queue for 90 minutes
  on failure reject
""",
    )
    other = rules.domains["other"]
    assert (other.title, other.owner, other.contact) == ("Other domain", "A board", "board@example.org")
    assert (other.acknowledge, other.outcome, other.same_control_id) == ("hl7-over-http", False, "accept")
    assert other.window == timedelta(days=14)
    assert other.accepts[0].versions is None
    assert [(t.name, t.on_failure, t.hold) for t in other.routes[0].targets] == [
        ("record", "reject", None),
        ("board", "queue", timedelta(minutes=90)),
    ]
    here = rules.domains["here"]
    assert (here.owner, here.acknowledge, here.outcome, here.same_control_id) == (None, "http-status", True, "refuse")
    assert here.accepts[0].versions == ("2.3", "2.5.1")


def test_what_documents_read_of_the_registry() -> None:
    rules = ruled(INGEST)
    engine = rules.registry.principals["engine"]
    assert (engine.connects_as, engine.sends_as) == (("R0D",), ("R0D",))
    assert engine.sends == {"here": ("ADT^A01", "ADT^A03")}
    assert rules.registry.principals["partner"].may_assert == ("TREAT",)
    assert rules.registry.organisations["R0D"].part_of == ("QVV",)
    assert rules.registry.agreements["DSA-2"].purposes == ("TREAT",)
    assert rules.registry.targets["board"].takes == "Hl7v2"


@pytest.mark.parametrize(
    ("other", "served"),
    [
        ("", {"Patient": "record"}),
        (
            'language 1\ndomain o "x"\npermit O "x"\n  to read Condition\n  all rows\n',
            {"Patient": "record", "Condition": "record"},
        ),
    ],
)
def test_a_type_is_served_from_the_only_target(other: str, served: dict[str, str]) -> None:
    texts = [other] if other else []
    rules = ruled('permit S "x"\n  to read Patient\n  all rows\n', *texts)
    assert rules.served == served
