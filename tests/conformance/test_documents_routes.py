"""The addresses of the generated document are those that the application answers, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

from gateway import assemble, rules, specs
from gateway.app import ROUTES
from gateway.documents import Published, openapi

PAGE = ("/swagger/{name}", "GET")
INDEX = ("/swagger/index.html", "GET")


def test_the_documents_addresses_are_the_applications_routes(repository: Path) -> None:
    tables = specs.fhir()
    loaded = rules.load(repository / "rules", assemble.vocabulary(specs.ROOT))
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
    assert templates - {INDEX} == asked - {PAGE}, "what the rules that ship grant is all there is"
