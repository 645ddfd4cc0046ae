"""specs/fhir/ against the official definitions, and the writer on a small definition of our own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gateway import specs
from gateway.fhir import build

TYPES = """name,kind,abstract,base,description
Element,complex-type,true,,
BackboneElement,complex-type,true,Element,
string,primitive-type,false,Element,
Reference,complex-type,false,Element,
Extension,complex-type,false,Element,
Thing,resource,false,Resource,
Unlisted,logical,false,Resource,
Resource,resource,true,,
"""
ELEMENTS = """path,min,max,types,content_reference,binding,value_set,is_modifier,in_summary,invariants,short
Element,0,*,,,,,,,,
Element.id,0,1,string,,,,,,,
BackboneElement,0,*,,,,,,,,
BackboneElement.id,0,1,string,,,,,,,
BackboneElement.modifierExtension,0,*,Extension,,,,y,y,,
string,0,*,,,,,,,,
string.id,0,1,string,,,,,,,
Reference,0,*,,,,,,,ref-1,
Reference.id,0,1,string,,,,,,,
Extension,0,*,,,,,,,,
Extension.id,0,1,string,,,,,,,
Extension.value[x],0,1,string Reference,,,,,,,
Resource,0,*,,,,,,,,
Resource.id,0,1,string,,,,,y,,
Thing,1,1,,,,,,,thg-1 thg-2,
Thing.id,1,1,string,,,,,y,,
Thing.kind,1,1,string,,required,http://hl7.org/fhir/ValueSet/kinds|4.0.1,,y,,
Thing.other,0,1,string,,required,http://else.example/kinds,,,,
Thing.mild,0,1,string,,example,http://else.example/mild,,,,
Thing.part,0,*,BackboneElement,,,,,,thg-3,
Thing.part.id,0,1,string,,,,,,,
Thing.part.modifierExtension,0,*,Extension,,,,y,y,,
Thing.part.of,0,1,Reference(Thing|Resource),,,,,,,
Thing.part.part,0,*,,#Thing.part,,,,,,
Thing.any[x],0,1,string Reference,,,,,,,
"""
FORMATS = "type,base,regex,max_length\nstring,Element,[ a-z]+,12\n"
PARAMETERS = """code,bases,type,targets,fhirpath,comparators,modifiers,chains,components,url
kind,Thing,token,,Thing.kind,,,,,http://hl7.org/fhir/SearchParameter/Thing-kind
"""
CODES = (
    "value_set,system,code,display\n"
    "http://hl7.org/fhir/ValueSet/kinds,http://hl7.org/fhir/kinds,plain,\n"
    "http://else.example/kinds,urn:else,"
    + "x" * 100
    + ",\nhttp://else.example/kinds,urn:else,"
    + "y" * 30
    + ",\nhttp://else.example/kinds,http://hl7.org/fhir/urn:odd,z,\n"
)


INVARIANTS = """key,first_path,severity,meaning,fhirpath
thg-1,Thing,error,not restated,kind.exists()
thg-2,Thing,warning,not restated,"mild = 'a, b'"
"""


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    folder = tmp_path / "reference"
    folder.mkdir()
    for name, text in (
        ("types", TYPES),
        ("elements", ELEMENTS),
        ("formats", FORMATS),
        ("search-parameters", PARAMETERS),
        ("required-codes", CODES),
        ("invariants", INVARIANTS),
    ):
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_the_written_notation_is_the_documented_one(reference: Path, tmp_path: Path) -> None:
    build.write(reference, tmp_path / "fhir")
    lines = (tmp_path / "fhir" / "elements.txt").read_text(encoding="utf-8").split("\n")
    thing = lines[lines.index("Thing 1..1 {thg-1,thg-2}") :]
    assert thing == [
        "Thing 1..1 {thg-1,thg-2}",
        "  id 1..1 string Σ",
        "  kind 1..1 string <kinds> Σ",
        "  other 0..1 string <http://else.example/kinds>",
        "  mild 0..1 string",
        "  part 0..* BackboneElement {thg-3}",
        "    of 0..1 Reference(Thing|Resource)",
        "    part 0..* #Thing.part",
        "  any[x] 0..1 *",
        "",
    ]
    assert lines.index("Resource") < lines.index("Thing 1..1 {thg-1,thg-2}")


def test_what_is_written_is_read_back(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "fhir"
    build.write(reference, out)
    for name in ("search-types.csv", "compartment-patient.csv", "systems.csv", "identities.csv", "filled.csv"):
        (out / name).write_bytes((specs.ROOT / "fhir" / name).read_bytes())
    for path in (specs.ROOT / "fhir").glob("audit-*.csv"):
        (out / path.name).write_bytes(path.read_bytes())
    for name in (
        "merge-types.csv",
        "merge-lists.csv",
        "invariants-not-judged.csv",
    ):  # they speak of types that these tables don't have
        lines = (specs.ROOT / "fhir" / name).read_text("utf-8").splitlines(keepends=True)
        (out / name).write_text(next(line for line in lines if not line.startswith("#")), "utf-8")
    tables = specs.fhir(tmp_path)
    rows = list(csv.DictReader(ELEMENTS.splitlines()))
    assert set(tables.elements) == {row["path"] for row in rows}
    assert tables.elements["Thing.part.part"].content_reference == "Thing.part"
    assert tables.elements["Thing.mild"].value_set is None
    assert tables.types["string"].max_length == 12
    assert tables.types["Resource"].abstract
    assert tables.codes["http://else.example/kinds"] == {"x" * 100, "y" * 30, "z"}
    assert tables.search_parameters["Thing", "kind"].modifiers
    assert tables.invariants["thg-2", ""].fhirpath == "mild = 'a, b'"
    assert tables.invariants["thg-1", "Thing"].severity == "error"
    (out / "invariants-not-judged.csv").write_text("key,reason\nthg-3,x\n", "utf-8")
    with pytest.raises(specs.SpecsError, match="`thg-3` is no invariant of R4"):
        specs.fhir(out / "..")


def test_no_drift_after_writing_and_each_difference_by_its_first_line(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "fhir"
    assert build.drift(reference, out) == (
        "types.csv: missing",
        "elements.txt: missing",
        "search-parameters.csv: missing",
        "codes.txt: missing",
        "invariants.csv: missing",
    )
    build.write(reference, out)
    assert build.drift(reference, out) == ()
    path = out / "codes.txt"
    path.write_text(path.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    lines = len(path.read_text(encoding="utf-8").split("\n"))
    assert build.drift(reference, out) == (f"codes.txt:{lines - 1}: differs from the reference",)
    types = out / "types.csv"
    types.write_text(types.read_text(encoding="utf-8").replace("\nstring,", "\nstrnig,"), encoding="utf-8")
    assert build.drift(reference, out)[0] == "types.csv:6: differs from the reference"
    types.write_text(types.read_text(encoding="utf-8").partition("\nThing")[0] + "\n", encoding="utf-8")
    assert "types.csv:" in build.drift(reference, out)[0]


def test_the_committed_tables_have_not_drifted(shared: Path) -> None:
    assert build.drift(shared / "reference" / "fhir-r4", specs.ROOT / "fhir") == ()


def test_every_official_element_is_restated_exactly(shared: Path) -> None:
    tables = specs.fhir()
    with (shared / "reference" / "fhir-r4" / "elements.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["path"] for row in rows} == set(tables.elements)
    for row in rows:
        element = tables.elements[row["path"]]
        types = " ".join(t.code + (f"({'|'.join(t.targets)})" if t.targets else "") for t in element.types)
        required = row["binding"] == "required"
        assert (
            str(element.min),
            "*" if element.max is None else str(element.max),
            types,
            "" if element.content_reference is None else "#" + element.content_reference,
            element.value_set,
            element.is_modifier,
            element.in_summary,
            " ".join(element.invariants),
        ) == (
            row["min"],
            row["max"],
            row["types"],
            row["content_reference"],
            row["value_set"].partition("|")[0] if required else None,
            row["is_modifier"] == "y",
            row["in_summary"] == "y",
            row["invariants"],
        ), row["path"]


def test_every_official_search_parameter_is_restated_exactly(shared: Path) -> None:
    found = {p.url: p for p in specs.fhir().search_parameters.values()}
    with (shared / "reference" / "fhir-r4" / "search-parameters.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(found) == 1375
    for row in rows:
        parameter = found[row["url"]]
        assert (parameter.code, parameter.type, parameter.fhirpath) == (row["code"], row["type"], row["fhirpath"])
        assert " ".join(parameter.bases) == row["bases"]
        assert " ".join(parameter.targets) == row["targets"]
        assert " ".join(parameter.comparators) == row["comparators"]
        for component in parameter.components:
            assert component.url in found
