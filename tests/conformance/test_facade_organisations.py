"""What a rule shows by an organisation is found and read alike, however a resource names that organisation.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, what organisations are compared by.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_facade_leaks import rules
from tests.conformance.test_facade_writes import ask, flag
from tests.running import Running, message, running

Json = dict[str, Any]
BEFORE = "check CF-C1"
ALL = """
permit CF-P9 "Keeps all flags"
  to create, update, read Flag
  when caller.name is other-writer
  all rows

forbid CF-F9 "Nobody sees the flags of 8PA01"
  to search, read Flag
  when Flag.author is present and Flag.author in 8pa01

"""
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NAMED: dict[str, Json] = {
    "as-written": {"reference": "Organization/RDZ"},
    "small-letters": {"reference": "Organization/rdz"},
    "a-version": {"reference": "Organization/RDZ/_history/1"},
    "by-identifier": {"identifier": {"system": ODS, "value": "RDZ"}},
    "both": {"reference": "Organization/RDZ", "identifier": {"system": ODS, "value": "RDZ"}},
    "another": {"reference": "Organization/R0D"},
    "another-by-identifier": {"identifier": {"system": ODS, "value": "R0D"}},
}

FORBIDDEN: dict[str, Json] = {
    "small-and-forbidden": {"reference": "Organization/8pa01"},
    "forbidden-by-identifier": {"identifier": {"system": ODS, "value": "8pa01"}},
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    """A store whose flags name their author in every way."""
    folder = tmp_path_factory.mktemp("named")
    with running(folder / "data", rules(folder / "rules", repository, BEFORE, ALL + BEFORE)) as one:
        assert one.send(message()).status_code == 200
        for name, author in NAMED.items():
            made = ask(one, "PUT", f"/Flag/{name}", flag(id=name, author=author), principal="other-writer")
            assert made.status_code in {200, 201}, made.text
        yield one


def found(one: Running, query: str) -> set[str]:
    reply = ask(one, "GET", f"/Flag?{query}&_count=50")
    assert reply.status_code == 200, reply.text
    return {each["resource"]["id"] for each in reply.json().get("entry", ())}


def test_what_is_read_is_found_and_what_is_found_is_read(named: Running) -> None:
    read = {name for name in NAMED if ask(named, "GET", f"/Flag/{name}").status_code == 200}
    assert read == found(named, f"_id={','.join(NAMED)}") == {"as-written", "both"}
    assert read == found(named, f"patient={flag()['subject']['reference']}") & set(NAMED)


@pytest.mark.parametrize("name", ["small-letters", "a-version", "by-identifier"])
def test_what_would_never_be_found_is_not_written(named: Running, name: str) -> None:
    refused = ask(named, "POST", "/Flag", flag(author=NAMED[name]))
    assert refused.status_code == 403, refused.text


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbid_takes_it_however_it_is_named(named: Running, name: str) -> None:
    made = ask(named, "PUT", f"/Flag/{name}", flag(id=name, author=FORBIDDEN[name]), principal="other-writer")
    assert made.status_code == 201, made.text
    assert ask(named, "GET", "/Flag/by-identifier", principal="other-writer").status_code == 200
    assert ask(named, "GET", f"/Flag/{name}", principal="other-writer").status_code == 404
