"""The tables of specs/: CSV, element table, codes, search parameters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway import specs

TABLES = specs.fhir()


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of specs/fhir to spoil."""
    shutil.copytree(specs.ROOT / "fhir", tmp_path / "fhir")
    return tmp_path


def replaced(root: Path, name: str, old: str, new: str) -> Path:
    path = root / "fhir" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return root


def test_rows_remember_their_line_below_comments_and_blank_lines(tmp_path: Path) -> None:
    rows = specs.table(written(tmp_path, '# one\n\na,b\r\n1,"x, y"\n\n# two\n3,\n'))
    assert [(row.origin.line, dict(row.values)) for row in rows] == [
        (4, {"a": "1", "b": "x, y"}),
        (7, {"a": "3", "b": ""}),
    ]


def test_a_file_of_the_repository_is_named_from_its_root() -> None:
    origin = specs.table(specs.ROOT / "fhir" / "types.csv")[0].origin
    assert str(origin) == "specs/fhir/types.csv:4"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a,b\n1\n", ":2: ", "1 cells where the header has 2"),
        ("# only\n", ":1: ", "no header line"),
        ("a,a\n", ":1: ", "a doubled column name"),
        ("a,\n", ":1: ", "an empty or a doubled column name"),
        ('a,b\n"x"y,1\n', ":2: ", "not CSV"),
    ],
)
def test_a_table_that_cannot_be_read_says_where_and_what_to_do(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    with pytest.raises(specs.SpecsError) as raised:
        specs.table(written(tmp_path, text))
    assert place in str(raised.value)
    assert words in str(raised.value)


def test_a_missing_file_and_a_bad_byte_are_told(tmp_path: Path) -> None:
    with pytest.raises(specs.SpecsError, match="no such file"):
        specs.table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(specs.SpecsError, match="byte 2 is not UTF-8"):
        specs.table(tmp_path / "bad.csv")


def test_every_element_and_search_parameter_loads() -> None:
    assert len(TABLES.elements) == 7696
    assert len({p.url for p in TABLES.search_parameters.values()}) == 1375
    assert len(TABLES.types) == 210
    assert len(TABLES.codes) == 220
    assert sum(len(pairs) for pairs in TABLES.codings.values()) == 2066
    assert len(TABLES.formats) == 19
    assert len(TABLES.compartment) == 66


def test_the_tables_are_loaded_once() -> None:
    assert specs.fhir() is TABLES


def test_an_element_has_what_the_standard_says() -> None:
    gender = TABLES.elements["Patient.gender"]
    assert (gender.min, gender.max, gender.types) == (0, 1, (specs.TypeRef("code"),))
    assert (gender.binding, gender.value_set) == ("required", "http://hl7.org/fhir/ValueSet/administrative-gender")
    assert gender.in_summary
    assert not gender.is_modifier
    contact = TABLES.elements["Patient.contact"]
    assert (contact.max, contact.invariants) == (None, ("pat-1",))
    assert TABLES.elements["Patient.active"].is_modifier
    assert TABLES.elements["Patient.contact.organization"].types == (specs.TypeRef("Reference", ("Organization",)),)
    assert TABLES.elements["Patient.maritalStatus"].binding is None
    assert TABLES.elements["Bundle.entry.link"].content_reference == "Bundle.link"
    assert TABLES.elements["MetadataResource"].min == 1
    assert TABLES.elements["xhtml.extension"].max == 0
    assert len(TABLES.elements["Extension.value[x]"].types) == 50


def test_inherited_elements_keep_the_place_where_they_are_written() -> None:
    element = TABLES.elements["Patient.contact.modifierExtension"]
    assert element.origin == TABLES.elements["BackboneElement.modifierExtension"].origin
    assert element.path == "Patient.contact.modifierExtension"


def test_children_come_in_the_standards_order() -> None:
    names = [e.path.rpartition(".")[2] for e in TABLES.elements.children("Patient.link")]
    assert names == ["id", "extension", "modifierExtension", "other", "type"]
    assert TABLES.elements.children("Patient.gender") == ()
    assert TABLES.elements.children("Nothing.here") == ()
    with pytest.raises(KeyError):
        TABLES.elements["Patient.birthdate"]


def test_search_parameters_of_resource_stand_under_every_resource_type() -> None:
    for name, definition in TABLES.types.items():
        if definition.kind == "resource":
            assert TABLES.search_parameters[name, "_id"].fhirpath == "Resource.id"
    assert ("Binary", "_text") not in TABLES.search_parameters  # Binary is no DomainResource
    assert ("Patient", "_text") in TABLES.search_parameters


def test_a_search_parameter_has_what_its_type_takes() -> None:
    birthdate = TABLES.search_parameters["Patient", "birthdate"]
    assert birthdate.type == "date"
    assert birthdate.bases == ("Patient", "Person", "RelatedPerson")
    assert "ge" in birthdate.comparators
    assert birthdate.modifiers == ("missing",)
    assert birthdate.url == "http://hl7.org/fhir/SearchParameter/individual-birthdate"
    composite = TABLES.search_parameters["Observation", "code-value-quantity"]
    assert [c.fhirpath for c in composite.components] == ["code", "value.as(Quantity)"]
    assert TABLES.search_parameters["Encounter", "subject"].targets == ("Group", "Patient")


def test_codes_are_kept_with_their_systems() -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert TABLES.codes[url] == {"male", "female", "other", "unknown"}
    assert ("http://hl7.org/fhir/administrative-gender", "male") in TABLES.codings[url]


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("elements.txt", "\nPatient\n", "\nPatinet\n", "`Patinet` is not a type"),
        ("elements.txt", "\n  birthDate 0..1", "\n   birthDate 0..1", "two spaces a level"),
        ("elements.txt", "\n  birthDate 0..1", "\n      birthDate 0..1", "two spaces a level"),
        ("elements.txt", "\n  birthDate 0..1", "\n  gender 0..1", "`gender` stands twice below `Patient`"),
        ("codes.txt", "\naccount-status\n", "\naccount-status\n  account-status\n", "a system before them"),
        ("codes.txt", "\nFHIR-version\n", "\n", "codes need a value set above"),
        ("search-parameters.csv", "\n_id,token,", "\n_id,tokne,", "unknown parameter type `tokne`"),
        ("merge-types.csv", "\nPatient,", "\nPatinet,", "`Patinet` is no type of kind resource"),
        ("merge-types.csv", "\nPatient,", "\nLocation,", "`Location` stands twice: keep one"),
        ("merge-lists.csv", "\nAddress,", "\nPatient,", "`Patient` is no type of kind complex"),
        ("merge-lists.csv", "\nAddress,,use,", "\nAddress,,usage,", "Address has no `usage`"),
        ("merge-lists.csv", "use=old system=", "old", "`old` chooses no entry"),
        ("merge-lists.csv", "system value,,,", "system value,,,use=old", "name the place"),
        ("systems.csv", "\nods,", "\nodds,", "nothing asks for `odds`: the names are ods, marks"),
        ("systems.csv", ".example/fhir,", ".example/fhir/,", "without a slash at its end"),
        ("audit-codes.csv", "\nlogin,http://dicom", "\nlogin,dicom", "is no code system: it is a URL or URN"),
        ("audit-codes.csv", ",110122,Login", ",,Login", "`login` has no code: add it"),
        ("audit-actions.csv", "\ntoken,authentication,login", "\ntoken,authentication,in", "unknown subtype `in`"),
        ("audit-codes.csv", "\nlogin,", "\nlogon,http://logon,on,,\nlogin,", "nothing asks for `logon`"),
        ("audit-actions.csv", "\ncount,", "\nsearch,", "`search` stands twice: keep one"),
        ("audit-actions.csv", ",patch,U,", ",patch,P,", "unknown action `P`: it is one of C, D, E, R, U"),
        ("audit-actions.csv", ",custodian,resources,", ",custodian,all,", "it is one of resources, query, nothing"),
        ("audit-actions.csv", ",IHE.BasicAudit.PatientRead", ",", "name BALP's without and with a patient, or neither"),
        ("audit-outcomes.csv", "\ndown,serious", "\ndown,bad", "unknown outcome `bad`"),
        ("audit-outcomes.csv", "\ndown,serious", "\ndown,login", "`login` is no outcome: its code is one of 0, 4, 8"),
    ],
)
def test_a_broken_table_names_file_line_and_remedy(copy: Path, name: str, old: str, new: str, words: str) -> None:
    with pytest.raises(specs.SpecsError) as raised:
        specs.fhir(replaced(copy, name, old, new))
    assert words in str(raised.value)
    assert f"{name}:" in str(raised.value)
    assert raised.value.origin.line > 1


def test_a_system_that_is_asked_for_may_not_be_left_out(copy: Path) -> None:
    with pytest.raises(specs.SpecsError, match=r"systems\.csv:1: there is no marks: add a line"):
        specs.fhir(replaced(copy, "systems.csv", "\nmarks,", "\n# marks,"))


@pytest.mark.parametrize(
    ("name", "left_out", "words"),
    [
        ("audit-codes.csv", "network-ip", r"audit-codes\.csv:1: there is no network-ip: add a line"),
        ("audit-actions.csv", "*", r"audit-actions\.csv:1: there is no `\*`: add the line"),
        ("audit-outcomes.csv", "*", r"audit-outcomes\.csv:1: there is no `\*`: add the line"),
    ],
)
def test_what_every_audit_event_needs_may_not_be_left_out(copy: Path, name: str, left_out: str, words: str) -> None:
    with pytest.raises(specs.SpecsError, match=words):
        specs.fhir(replaced(copy, name, f"\n{left_out},", f"\n# {left_out},"))


def test_an_action_or_outcome_that_is_not_named_is_told_as_any_other() -> None:
    assert TABLES.auditing.action("delete").server.code == "custodian"
    assert TABLES.auditing.action("new-one") == TABLES.auditing.actions["*"]
    assert TABLES.auditing.outcome("new-one").code == "4"


@pytest.mark.parametrize("new", ["birthDate date", "birthDate x..1 date", "birthDate 0..x date", "birthDate"])
def test_an_element_without_cardinality_is_told_when_its_type_is_read(copy: Path, new: str) -> None:
    tables = specs.fhir(replaced(copy, "elements.txt", "birthDate 0..1 date", new))
    with pytest.raises(specs.SpecsError, match="cardinality is"):
        tables.elements["Patient.birthDate"]


def test_comments_and_blank_lines_may_stand_anywhere(copy: Path) -> None:
    root = replaced(copy, "elements.txt", "\nPatient\n", "\n\n# people\nPatient\n")
    root = replaced(root, "codes.txt", "\naccount-status\n", "\n\n# a remark\naccount-status\n")
    assert len(specs.fhir(root).elements) == 7696


def test_an_inherited_element_that_is_restated_stands_once_in_its_place() -> None:
    for name in TABLES.types:
        paths = [element.path for element in TABLES.elements.children(name)]
        assert len(set(paths)) == len(paths)
    assert [e.path for e in TABLES.elements.children("xhtml")] == ["xhtml.id", "xhtml.extension", "xhtml.value"]
    fresh = specs.ElementTable(specs.ROOT / "fhir" / "elements.txt", TABLES.types)  # others may have read from TABLES
    assert list(fresh)[:3] == ["Element", "Element.id", "Element.extension"]
