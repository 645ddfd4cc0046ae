"""The addresses of the generated document are those that the application answers, no more and no fewer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from gateway import loading, rules, specs
from gateway.app import ROUTES
from gateway.documents import Published, openapi

PAGE = ("/swagger/{name}", "GET")
APART = ("/_metrics", "GET")  # on a listener for operators, never on the common port
INDEX = ("/swagger/index.html", "GET")


OPERATIONS = """
permit T-O1 "Viewers may do whatever operation there is"
  to operation everything, operation export, operation validate Patient
  when caller has role gp-viewer
  all rows
"""
"""No shipped rule grants an operation; these do, so that all routes are told."""


def test_the_documents_addresses_are_the_applications_routes(tmp_path: Path, repository: Path) -> None:
    tables = specs.fhir()
    folder = tmp_path / "rules"
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    with (folder / "shared-record.rules").open("a", encoding="utf-8") as file:
        file.write(OPERATIONS)
    loaded = rules.load(folder, loading.vocabulary(specs.ROOT))
    assert loaded.rules is not None
    paths = openapi(loaded.rules, Published("https://exchange.example.org", "1"), tables)["paths"]
    told = {(path, method.upper()) for path, item in paths.items() for method in item}
    types = sorted({path.split("/")[1] for path in paths if re.match(r"/[A-Z]", path)})
    routed: set[tuple[str, str]] = set()
    for route in ROUTES:
        plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        for name in types if "{type}" in plain else [""]:
            methods = (route.methods or set()) - {"HEAD"}
            routed |= {(plain.replace("{type}", name), method) for method in methods}
    assert told - {INDEX} <= routed
    templates = {(re.sub(r"^/[A-Z][A-Za-z]+", "/{type}", path), method) for path, method in told}
    asked = {(re.sub(r"\{(\w+):\w+\}", r"{\1}", r.path), m) for r in ROUTES for m in (r.methods or set()) - {"HEAD"}}
    asked = {(re.sub(r"^/[A-Z][A-Za-z]+", "/{type}", path), method) for path, method in asked}
    assert templates - {INDEX} == asked - {PAGE, APART}, "what these rules grant is all there is"
