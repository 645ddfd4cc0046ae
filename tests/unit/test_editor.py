"""What editors are told about rule files: declared names and their places, words at a place, renaming."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.workspace import PositionCodec

from gateway import loading
from gateway.config import REPOSITORY, load
from gateway.editor import names
from gateway.editor.book import Book, book, cut_at, folder_of
from gateway.editor.diagnose import diagnose, underlined
from gateway.editor.hover import hover
from gateway.editor.keywords import PHRASES, meaning
from gateway.editor.places import extent, offset
from gateway.editor.rename import CannotRenameError, rename, renameable
from gateway.editor.uses import CLAUSES, SAID, Use, uses, words
from gateway.rules import Vocabulary
from gateway.rules.card import MEANINGS
from gateway.rules.load import read_sources
from gateway.rules.nodes import Clause
from gateway.rules.textmate import keywords
from gateway.source import Source, Span

HERE = "@@"
"""Where the cursor stands."""

REGISTRY = """language 1

organisation r0d "University Hospitals Dorset"
organisation RDZ "Dorset HealthCare" part of r0d
role viewer "Sees"
role writer "Writes"
purpose TREAT "Treatment"
target record "The record" takes Fhir
agreement DSA-1 "Feed" from 2026-01-01 until 2030-01-01 for purpose TREAT
list out "Opted out" of nhs-number from "out.csv"
codes heart "Heart" from "heart.csv"

principal engine "Engine"
  connects as r0d
  sends as r0d
  sends category care ADT^A01
  roles viewer
"""

CARE = """language 1

domain care "Care"
  serves record

accept Hl7v2 ADT^A01, ADT^A03
  versions 2.3 to 2.5.1
accept Fhir Bundle, Encounter
  holding Patient
accept Csv ed-attendances

set training = "T", "D"
set sites = r0d, rdz

condition discharged on Hl7v2
  means message.type is ADT^A03

permit C-P1 "Send"
  to ingest
  when caller connects as organisation
  because DSA-1

permit C-P2 "See"
  to search, read Encounter, Patient
  when caller has role viewer and purpose is TREAT
  asking _id or patient
  allowing date
  rows Encounter where Encounter.serviceProvider in sites
   or Encounter.serviceProvider is r0d
  all rows Patient
  hide Patient.telecom

forbid C-F1 "Opted out"
  to search any
  when patient listed in out
    or rdz in source.organisations

forbid C-F2 "No birth date"
  to search Encounter
  when patient.birthDate is absent and resource.meta.security has code "R" in "http://example.org"

check C-C1 "Numbers"
  on Hl7v2 when discharged
  for each id in PID-3 where id.5 is "NH"
  require id.1 is nhs-number
  otherwise error code-invalid "no number"

route C-R1 "All"
  on Hl7v2, Csv, Fhir
  to record
  on failure reject
"""

TESTS = """language 1

test "a discharge"
  given message "a.hl7"
  from engine as RDZ to care
  expect accept to record
  expect refuse by C-C1 at PID-3[1].1
  expect deny for want of C-P1 condition
"""

Pointing = Callable[..., tuple[Book, str, int]]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return loading.vocabulary(load().specs)


@pytest.fixture(scope="module")
def shipped(vocabulary: Vocabulary) -> Book:
    return book(read_sources(REPOSITORY / "rules")[0], vocabulary)


@pytest.fixture
def at(vocabulary: Vocabulary) -> Pointing:
    """The small rule set, and a place in it: behind the first half of what is around the mark."""

    def point(marked: str, file: str = "care") -> tuple[Book, str, int]:
        texts = {"registry": REGISTRY, "care": CARE, "tests": TESTS}
        plain = marked.replace(HERE, "")
        start = texts[file].index(plain)
        found = book((Source(f"{n}.rules", t) for n, t in texts.items()), vocabulary)
        assert not any(page.diagnostics for page in found.pages.values())
        return found, f"{file}.rules", start + marked.index(HERE)

    return point


def test_every_clause_and_statement_has_its_words() -> None:
    assert set(CLAUSES) == set(Clause.__args__)
    assert {kind.split()[0] for kind in SAID if kind} <= keywords() | {"on"}


def test_every_keyword_has_a_meaning() -> None:
    said = {word for phrase in PHRASES for word in phrase.split()}
    assert keywords() - said - set(MEANINGS) == frozenset()


@pytest.mark.parametrize(
    ("marked", "file", "kind", "count"),
    [
        ("serves re@@cord", "care", "target", 4),
        ("has role vie@@wer", "care", "role", 3),
        ("purpose is TR@@EAT", "care", "purpose", 3),
        ("because DSA-@@1", "care", "agreement", 2),
        ("listed in o@@ut", "care", "list", 2),
        ("rd@@z in source", "care", "organisation", 4),
        ("in si@@tes", "care", "set", 2),
        ("when disch@@arged", "care", "condition", 2),
        ("from engi@@ne", "tests", "principal", 2),
        ("to ca@@re", "tests", "domain", 3),
        ("by C-C@@1", "tests", "rule", 2),
        ("want of C-P@@1", "tests", "rule", 2),
        ("as R@@DZ", "tests", "organisation", 4),
        ("is r0@@d\n", "care", "organisation", 6),
    ],
)
def test_a_name_is_found_in_all_its_places(at: Pointing, marked: str, file: str, kind: str, count: int) -> None:
    place = at(marked, file)
    found = names.name_at(*place)
    assert found is not None
    assert (found.name.kind, len(found.places)) == (kind, count)
    declared = names.definition(*place)
    assert declared == found.statement.name.span


def test_a_loop_variable_leads_to_its_loop(at: Pointing) -> None:
    place = at("require id@@.1")
    found = names.definition(*place)
    assert found is not None
    assert found.source.line(found.line) == '  for each id in PID-3 where id.5 is "NH"'


@pytest.mark.parametrize("marked", ["purp@@ose is TREAT", "PID@@-3", "on Hl@@7v2, Csv", "dom@@ain care"])
def test_what_nobody_declares_has_no_definition(at: Pointing, marked: str) -> None:
    assert names.definition(*at(marked)) is None


def test_every_name_of_the_shipped_rules_is_declared_there(shipped: Book) -> None:
    declared = names.index(shipped)
    seen = 0
    for page in shipped.pages.values():
        for statement in page.statements:
            for use in words(statement):
                if len(use.kinds) == 1 and use.kinds[0] in names.KINDS:
                    seen += 1
                    assert names.resolve(use, page, declared) is not None, str(use.word.span)
    assert seen > 200


def test_every_word_of_the_shipped_rules_is_read_once_and_in_its_place(shipped: Book) -> None:
    for page in shipped.pages.values():
        for statement in page.statements:
            spans = [use.word.span if isinstance(use, Use) else use.text.span for use in uses(statement)]
            assert len({(s.start, s.end) for s in spans}) == len(spans), str(statement.span)
            assert all(statement.span.start <= s.start < s.end <= statement.span.end for s in spans)


# --- hover ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marked", "file", "words"),
    [
        ("in PID@@-3 where", "care", ("Patient Id", "`CX` [1..*]", "HL7 2.3", "Fields/PID.3")),
        ("require id@@.1", "care", ("`id.1` = `PID-3.1`", "HL7 2.3")),
        ("where id@@.5", "care", ("`PID-3.5`", "table 0203", "Codes: `AM`")),
        ("where Encounter.service@@Provider in", "care", ("`Reference` of Organization [0..1]",
                                                          "encounter-definitions.html#Encounter.serviceProvider")),
        ("when patient.birth@@Date", "care", ("`patient.birthDate`** = `Patient.birthDate` `date` [0..1]",)),
        ("resource.meta.sec@@urity has", "care", ("`Coding` [0..*]", "resource-definitions.html#Meta.security")),
        ("hide Patient.tel@@ecom", "care", ("`ContactPoint` [0..*]", "patient-definitions.html#Patient.telecom")),
        ("when caller con@@nects as", "care", ("connects as", "may connect as")),
        ("caller connects as organ@@isation", "care", ("fact", "an organisation", "header organisation-code")),
        ("has role vie@@wer", "care", ("role **`viewer`** Sees", "registry.rules:5")),
        ("  al@@l rows", "care", ("All resources of the granted types", "all rows")),
        ("asking _id or pat@@ient", "care", ("search parameter", "encounter.html#search", "reference")),
        ("perm@@it C-P1", "care", ("Grants.", "permit NAME")),
        ("Hl7v2 ADT^A@@01", "care", ("structure `ADT_A01`",)),
        ("Bundle, Encoun@@ter", "care", ("https://hl7.org/fhir/R4/encounter.html",)),
        ("Csv ed-att@@endances", "care", ("CSV layout", "`NHS_NUMBER`")),
        ("is nhs-num@@ber", "care", ("predicate",)),
        ("each i@@d in", "care", ("one repetition of `PID-3`",)),
        ("  ser@@ves", "care", ("queries of this domain",)),
        ("expect deny for wa@@nt of", "tests", ("would grant it but for one thing",)),
    ],
)  # fmt: skip
def test_what_stands_at_a_place_is_told(at: Pointing, marked: str, file: str, words: tuple[str, ...]) -> None:
    place = at(marked, file)
    found = hover(*place)
    assert found is not None
    for word in words:
        assert word in found.text, found.text
    assert found.span.start <= place[2] <= found.span.end


@pytest.mark.parametrize(("marked", "file"), [('"Ca@@re"', "care"), ("\n@@\ndomain", "care"), ("anguage 1@@", "care")])
def test_where_nothing_is_to_be_told_nothing_is(at: Pointing, marked: str, file: str) -> None:
    assert hover(*at(marked, file)) is None


def test_a_broken_statement_still_tells_its_keywords(vocabulary: Vocabulary) -> None:
    text = 'language 1\npermit X "x"\n  to ingest\n  when caller connects\n'
    found = hover(book([Source("a.rules", text)], vocabulary), "a.rules", text.index("when") + 1)
    assert found is not None
    assert "applies" in found.text


def test_every_path_of_the_shipped_rules_is_told(shipped: Book) -> None:
    untold = []
    for file, page in shipped.pages.items():
        declared = names.index(shipped)
        for use in (use for statement in page.statements for use in words(statement)):
            if {"path", "type"} & set(use.kinds) and use.word.text not in {"any", "true", "false"}:
                told = hover(shipped, file, use.word.span.start)
                literal = use.word.text[0].isdigit() and names.resolve(use, page, declared) is None
                if told is None and not literal:
                    untold.append(f"{use.word.span} {use.word.text}")
    assert untold == []


# --- rename --------------------------------------------------------------------------------------------------------


def renamed(place: tuple[Book, str, int], text: str) -> dict[str, str]:
    found = rename(*place, text)
    texts = {name: page.source.text for name, page in place[0].pages.items()}
    for span in sorted(found.places, key=lambda s: -s.start):
        before = texts[span.source.name]
        texts[span.source.name] = before[: span.start] + found.text + before[span.end :]
    return texts


def test_a_name_is_renamed_in_all_files(at: Pointing) -> None:
    texts = renamed(at("serves re@@cord"), "store")
    assert 'target store "The record"' in texts["registry.rules"]
    assert "serves store" in texts["care.rules"]
    assert "  to store\n" in texts["care.rules"]
    assert "accept to store" in texts["tests.rules"]
    assert "target record" not in "".join(texts.values())
    assert '"The record"' in texts["registry.rules"]


def test_a_rule_id_is_renamed_in_its_tests(at: Pointing) -> None:
    texts = renamed(at("check C-C@@1"), "C-C9")
    assert 'check C-C9 "Numbers"' in texts["care.rules"]
    assert "refuse by C-C9 at" in texts["tests.rules"]


def test_a_name_of_another_kind_stays(at: Pointing) -> None:
    texts = renamed(at("accept Hl7v2 ADT^A01, ADT^A03\n  versions 2.3 to 2.5.1\naccept Fhir Bundle, Encounter\n"
                       "  holding Patient\naccept Csv ed-attendances\n\nset train@@ing"), "modes")  # fmt: skip
    assert 'set modes = "T", "D"' in texts["care.rules"]
    assert texts["registry.rules"] == REGISTRY


@pytest.mark.parametrize(
    ("marked", "text", "words"),
    [
        ("has role vie@@wer", "writer", "there is a role `writer` already"),
        ("has role vie@@wer", "two words", "is no name"),
        ("when disch@@arged", "purpose", "read as something else"),
        ("when disch@@arged", "not", "read as something else"),
        ("in PID@@-3 where", "PID-4", "no declared name"),
    ],
)
def test_a_name_that_would_mean_something_else_is_refused(at: Pointing, marked: str, text: str, words: str) -> None:
    with pytest.raises(CannotRenameError, match=words):
        rename(*at(marked), text)


def test_nothing_is_renamed_beside_a_broken_statement(vocabulary: Vocabulary) -> None:
    text = 'language 1\nrole a "A"\nprincipal p "P"\n  rolls a\n'
    place = (book([Source("a.rules", text)], vocabulary), "a.rules", text.index("role a") + 5)
    assert renameable(*place) is not None
    with pytest.raises(CannotRenameError, match=r"put right a\.rules:4:3 first"):
        rename(*place, "b")


# --- the files -----------------------------------------------------------------------------------------------------


def test_a_rule_set_is_the_highest_folder_with_rule_files(tmp_path: Path) -> None:
    for name in ("rules/a.rules", "rules/deep/b.rules", "rules/examples/one/c.rules"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("language 1\n", "utf-8")
    assert folder_of(tmp_path / "rules/a.rules") == tmp_path / "rules"
    assert folder_of(tmp_path / "rules/deep/b.rules") == tmp_path / "rules"
    assert folder_of(tmp_path / "rules/examples/one/c.rules") == tmp_path / "rules/examples/one"


def test_unsaved_texts_stand_in_for_files(tmp_path: Path, vocabulary: Vocabulary) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.rules").write_text('language 1\nrole one "One"\n', "utf-8")
    broken = {folder / "a.rules": 'language 1\r\nrole one "One"\r\nprincipal p "P"\r\n  roles wone\r\n'}
    (found,) = [d for d in diagnose(folder, broken, vocabulary) if d.severity == "error"]
    assert str(found.span) == "rules/a.rules:4:9"
    assert found.help == "did you mean `one`?"
    new = {folder / "b.rules": 'language 1\nrole one "Again"\n'}
    (found,) = [d for d in diagnose(folder, new, vocabulary) if d.severity == "error"]
    assert "rules/b.rules" in {found.span.source.name, *(found.help or "").split()}


def test_warnings_of_the_shipped_rules_are_told(tmp_path: Path, vocabulary: Vocabulary) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "registry.rules").write_text('language 1\nrole spare "Nobody has it"\n', "utf-8")
    found = diagnose(folder, {}, vocabulary)
    assert {d.severity for d in found} == {"warning"}
    assert any("spare" in d.message for d in found)
    assert all("\n" not in underlined(d).text for d in found)


def test_a_sample_that_is_not_there_is_told(vocabulary: Vocabulary) -> None:
    folder = REPOSITORY / "rules"
    tests = folder / "emergency-care.test.rules"
    text = tests.read_text("utf-8")
    (found,) = diagnose(folder, {tests: text.replace('.hl7"', 'x.hl7"', 1)}, vocabulary)
    assert found.span.source.name == "rules/emergency-care.test.rules"
    assert found.span.text.endswith('x.hl7"')
    assert found.help is not None


def test_a_place_behind_a_statement_belongs_to_it() -> None:
    text = 'language 1\nrole a "A"\n  \nrole b "B"\n'
    source = Source("a.rules", text)
    span = cut_at(source, text.index("  \n") + 1)
    assert span is not None
    assert span.text.startswith("role a")
    assert meaning(span, span.start + 1) is not None
    assert cut_at(Source("b.rules", "# c\nlanguage 1\n"), 1) is None


# --- places --------------------------------------------------------------------------------------------------------


def test_editors_count_utf_16_units() -> None:
    source = Source("a.rules", 'language 1\nrole a "\U0001f600 smile"\n')
    codec = PositionCodec(types.PositionEncodingKind.Utf16)
    start = source.text.index("smile")
    assert extent(Span(source, start, start + 5), codec) == types.Range(types.Position(1, 11), types.Position(1, 16))
    assert offset(source, types.Position(1, 11), codec) == start
    utf_8 = PositionCodec(types.PositionEncodingKind.Utf8)
    assert offset(source, types.Position(1, 13), utf_8) == start


@pytest.mark.parametrize(
    ("line", "character", "expected"),
    [(0, 0, 0), (0, 99, 10), (1, 0, 11), (2, 0, 12), (2, 6, 18), (3, 0, 19), (9, 9, 19)],
)
def test_places_past_an_end_are_that_end(line: int, character: int, expected: int) -> None:
    source = Source("a.rules", "language 1\n\nrole a\n")
    assert offset(source, types.Position(line, character), PositionCodec()) == expected
