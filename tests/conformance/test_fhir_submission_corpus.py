"""The official examples and UK Core's as submissions: each is stored, or refused for a reason; none fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import fhir, loading, specs
from tests.running import Running, running

SEEN = {"stored": 200, "unreadable": 400, "failed": 422}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    """One whose domain takes any type in a Bundle: the examples are of most types that there are."""
    folder = tmp_path_factory.mktemp("rules")
    types = [name for name, found in specs.fhir().types.items() if found.kind == "resource" and not found.abstract]
    for file in (repository / "rules").glob("*.rules"):
        text = re.sub(r"(?m)^  holding .*$", f"  holding {', '.join(types)}", file.read_text("utf-8"))
        (folder / file.name).write_text(text, "utf-8")
    with running(tmp_path_factory.mktemp("data"), loading.decisions(folder, repository / "specs")) as one:
        yield one


def collection(*resources: Any) -> bytes:
    entries = [
        {"resource": r, **({"fullUrl": f"http://hl7.org/fhir/{r['resourceType']}/{r['id']}"} if "id" in r else {})}
        for r in resources
    ]
    return fhir.dump({"resourceType": "Bundle", "type": "collection", "entry": entries})


@pytest.mark.parametrize("folder", ["r4-examples", "uk-core"])
def test_each_example_is_answered(shared: Path, gateway: Running, folder: str) -> None:
    for path in sorted((shared / "corpus" / folder).glob("*.json")):
        resource = fhir.load(path.read_bytes())
        body = path.read_bytes() if resource["resourceType"] in {"Bundle", "Encounter"} else collection(resource)
        reply = gateway.send(body, data_type="Fhir")
        assert reply.status_code in SEEN.values(), (path.name, reply.text)
        answer = reply.json()
        said = [i for i in answer["issue"] if i["severity"] == "error"] if "issue" in answer else []
        assert bool(said) == (reply.status_code != SEEN["stored"]), path.name
        assert all(i["diagnostics"] and (i.get("expression") or i["code"] == "business-rule") for i in said), path.name


def test_the_examples_that_belong_together_are_stored_together(shared: Path, gateway: Running) -> None:
    """In one Bundle their references find each other; what is left out is invalid, or of a patient not among them."""
    read = [fhir.load(path.read_bytes()) for path in sorted((shared / "corpus" / "r4-examples").glob("*.json"))]
    elements = gateway.http.app.state.gateway.elements  # type: ignore[attr-defined]  # Starlette's, which httpx knows as a callable
    kept = [r for r in read if r["resourceType"] not in {"Bundle", "Parameters"} and not fhir.validate(r, elements)]
    patients = {f"Patient/{r['id']}" for r in kept if r["resourceType"] == "Patient"}
    kept = [*{(r["resourceType"], r["id"]): r for r in kept if not _named(r) - patients}.values()]
    reply = gateway.send(collection(*kept), data_type="Fhir")
    assert reply.status_code == SEEN["stored"], reply.text
    assert len(kept) >= 40
    words = [issue["diagnostics"] for issue in reply.json()["issue"]]
    assert sum(w.startswith(("201 Created", "200 OK")) for w in words) == len(kept)


def _named(resource: Any) -> set[str]:
    """The patients that a resource refers to."""
    text = json.dumps(json.loads(fhir.dump(resource)))
    return set(re.findall(r'"reference": "(?:[^"]*/)?(Patient/[^"/]+)', text))
