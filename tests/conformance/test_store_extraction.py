"""What the store's index is made from agrees with fhirpathpy, on every official example and every search parameter.

The oracle is asked for what it knows: `resolve() is X` is told by the reference's form, as R4 lets a server do that
does not fetch what is referred to; `Resource.` by the type at hand; and `as` with several values, which R4's own
expressions use and FHIRPath has refused since, by `ofType`.

Source: https://hl7.org/fhir/R4/searchparameter-registry.html, https://hl7.org/fhirpath/
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from gateway import specs
from gateway.fhir import fhirpath

TABLES = specs.fhir()
AT_LEAST = 1300
"""Parameters of examples that are compared: fewer mean that the examples are not there."""
_RESOLVED = re.compile(r"resolve\(\) is ([A-Za-z]+)")
_OF_ANY = re.compile(r"\b(?:Domain)?Resource\.")
_AS = re.compile(r"\(([A-Za-z.]+) as ([A-Za-z]+)\)|([A-Za-z.]+)\.as\(([A-Za-z]+)\)")


@functools.cache
def asked(expression: str, type_: str) -> str:
    """An expression in the words of the oracle."""
    named = _RESOLVED.sub(r"(reference.matches('^(.*/)?\1/[^/]+(/_history/[^/]+)?$') or type = '\1')", expression)
    typed = _AS.sub(lambda found: f"{found[1] or found[3]}.ofType({found[2] or found[4]})", named)
    return _OF_ANY.sub(f"{type_}.", typed)


def plain(value: Any) -> Any:
    """A value with its numbers of one kind: the oracle makes decimals of them."""
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case None | bool() | str():
            return value
        case _:
            return float(value)


def shown(values: list[Any]) -> set[str]:
    return {json.dumps(plain(value), sort_keys=True) for value in values}


@pytest.fixture(scope="module")
def oracle() -> Callable[[str], Callable[[dict[str, Any]], list[Any]]]:
    @functools.cache
    def compiled(expression: str) -> Callable[[dict[str, Any]], list[Any]]:
        evaluate = fhirpathpy.compile(expression, models["r4"])
        return lambda resource: evaluate(resource, None)

    return compiled


def test_it_agrees_with_the_oracle_on_the_official_examples(
    shared: Path, oracle: Callable[[str], Callable[[dict[str, Any]], list[Any]]]
) -> None:
    compared, differing = 0, []
    for file in sorted((shared / "corpus" / "r4-examples").glob("*.json")):
        resource = json.loads(file.read_text("utf-8"))
        type_ = resource["resourceType"]
        for (base, code), parameter in TABLES.search_parameters.items():
            if base != type_ or not parameter.fhirpath:
                continue
            ours = fhirpath.compile(parameter.fhirpath, context=type_, tables=TABLES)(resource)
            theirs = oracle(asked(parameter.fhirpath, type_))(resource)
            compared += 1
            if shown(list(ours)) != shown(theirs):
                differing.append((file.name, code, shown(list(ours)) ^ shown(theirs)))
    assert differing == []
    assert compared >= AT_LEAST
