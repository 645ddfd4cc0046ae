"""The layers of `gateway/`: who may import whom, which library may be used where, no cycles, no hidden imports.

Source: `architecture.md` of the design, "Layers of gateway/"; `gateway/README.md` repeats the table.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pytest

# Units (a module or a package right below gateway/) by layer. A unit imports from lower layers only.
LAYERS: Mapping[int, tuple[str, ...]] = {
    6: (
        "cli",
        "app",
        "assemble",
        "explaining",
        "following",
        "serve",
        "workers",
        "demo",
        "editor",
        "kept",
        "listeners",
        "loading",
        "offline",
        "playing",
        "rejudging",
        "samples",
        "sending",
        "trials",
        "trust",
        "validating",
        "__main__",
    ),
    5: ("interactions",),
    4: ("identity", "journal", "upstream", "documents", "client", "sampling", "guard", "telemetry"),
    3: ("rules", "mapping"),
    2: ("language",),
    1: ("hl7v2", "fhir", "tabular", "query"),
    0: ("source", "stated", "specs", "config", "finding", "exclusive", "observing", "client_assertion"),
}
LAYER = {unit: layer for layer, units in LAYERS.items() for unit in units}

# What a layer may import from itself; all else that it needs from there is passed in as a function by layer 5 or 6.
SIDEWAYS: Mapping[tuple[str, str], str] = {
    ("cli", "app"): "the commands stand above the application",
    ("cli", "assemble"): "and above the parts put together",
    ("assemble", "loading"): "what decides is one of the parts",
    ("assemble", "trust"): "and what knows clients",
    ("serve", "listeners"): "what is served is served on listeners",
    ("cli", "listeners"): "they are bound before anything is served",
    ("cli", "trust"): "and what is configured of clients is told before",
    ("cli", "loading"): "each command is thin, what it does stands beside it",
    ("cli", "serve"): "and above what runs it",
    ("cli", "workers"): "or what runs several of it",
    ("workers", "serve"): "each of which ends as one does",
    ("cli", "demo"): "each command is thin, what it does stands beside it",
    ("cli", "kept"): "what a start parsed is kept in the data folder for the next",
    ("cli", "offline"): "each command is thin, what it does stands beside it",
    ("cli", "samples"): "each command is thin, what it does stands beside it",
    ("cli", "sending"): "each command is thin, what it does stands beside it",
    ("cli", "trials"): "each command is thin, what it does stands beside it",
    ("cli", "rejudging"): "each command is thin, what it does stands beside it",
    ("rejudging", "assemble"): "what was sent is judged again by a gateway, put together as any",
    ("rejudging", "loading"): "and by the rules that it loads",
    ("cli", "validating"): "each command is thin, what it does stands beside it",
    ("config", "stated"): "what is said of its faults is for people",
    ("specs", "stated"): "what is said of its faults is for people",
    ("cli", "explaining"): "each command is thin, what it does stands beside it",
    ("cli", "following"): "each command is thin, what it does stands beside it",
    ("following", "loading"): "the maps are checked against what the gateway loads",
    ("editor", "loading"): "its vocabulary is the one that the gateway judges by",
    ("editor", "trials"): "editors are told what `rules check` says, samples that are missing with it",
    ("explaining", "loading"): "decisions are explained by what the gateway loads",
    ("explaining", "trials"): "what is sent is read and converted as by tests",
    ("trials", "loading"): "tests of rules run against what the gateway loads",
    ("samples", "loading"): "samples are judged by what the gateway loads",
    ("cli", "playing"): "each command is thin, what it does stands beside it",
    ("playing", "loading"): "the demo's samples are judged by what the gateway loads",
    ("playing", "demo"): "it plays the demo's script",
    ("playing", "samples"): "and sends samples",
    ("__main__", "cli"): "python -m gateway is the command",
}

# Modules that import by a call, each for a reason; what they name so is of their own unit.
CHOOSING: Mapping[str, str] = {
    "gateway.cli": "a command line imports what its own command stands on alone",
    "gateway.fhir.models": "models that others wrote are imported where a rule asks for them alone",
    "gateway.telemetry.chosen": "metrics and traces are imported where the settings ask for them alone",
}

# Libraries by the modules or packages that may import them. Those not named here may be used anywhere.
_ABOVE = tuple(f"gateway.{unit}" for layer in (5, 6) for unit in LAYERS[layer])
_HTTP = ("gateway.upstream", "gateway.identity", "gateway.client")
_JOSE = ("gateway.identity", "gateway.client")
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "lark": (
        "gateway.language",
        "gateway.rules",
        "gateway.mapping",
        "gateway.fhir.fhirpath",
        "gateway.fhir.fhirpath_parse",
        "gateway.editor.complete",
    ),
    "hl7apy": ("gateway.hl7v2.dictionary",),
    "fhir": ("gateway.fhir",),
    "fhir_core": ("gateway.fhir",),  # what fhir.resources is built on
    "asyncpg": ("gateway.journal",),
    "httpx": _HTTP,
    "httpx_aiohttp": _HTTP,  # httpx's transport, and what that is built on
    "aiohttp": _HTTP,
    "authlib": _JOSE,
    "joserfc": (*_JOSE, "gateway.client_assertion", "gateway.upstream.signing_key"),  # towards targets
    "opentelemetry": ("gateway.telemetry.tracing",),  # which is imported where the settings ask for it alone
    "prometheus_client": ("gateway.telemetry.metrics",),
    "uvicorn": ("gateway.serve", "gateway.listeners", "gateway.guard.protocol", "gateway.guard.answering"),
    "pygls": ("gateway.editor",),
    "lsprotocol": ("gateway.editor",),  # what pygls speaks
    "starlette": ("gateway.upstream.store", *_ABOVE),
    "simplejson": ("gateway.fhir", "gateway.upstream.store", *_ABOVE),
}


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a module imports: the module it comes from, or is."""

    target: str
    line: int
    hidden: bool  # in a function, or by a call


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the package."""

    name: str
    path: str
    imports: tuple[Import, ...]

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


def read(root: Path) -> dict[str, Module]:
    """Every module below `root`/gateway, by its dotted name."""
    paths = {_name(path.relative_to(root)): path for path in sorted(root.glob("gateway/**/*.py"))}
    modules = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = _imports(ast.parse(path.read_text("utf-8")), package, paths.keys(), hidden=False)
        modules[name] = Module(name, path.relative_to(root).as_posix(), tuple(found))
    return modules


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(node: ast.AST, package: str, known: AbstractSet[str], *, hidden: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, hidden) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, package)
            for alias in child.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner in known else base, child.lineno, hidden)
        elif isinstance(child, ast.Call) and _called(child) in {"import_module", "__import__"}:
            yield Import(ast.unparse(child), child.lineno, hidden=True)
        inside = hidden or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, package, known, hidden=inside)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, with leading dots resolved."""
    if node.level == 0:
        return node.module or ""
    above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
    return f"{above}.{node.module}" if node.module else above


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def unit(name: str) -> str:
    """The module or package right below gateway/ to which a dotted name belongs; empty for gateway itself."""
    return f"{name}.".split(".")[1]


def own(modules: Mapping[str, Module]) -> Iterator[tuple[Module, Import]]:
    """Imports of the gateway's own modules."""
    for module in modules.values():
        yield from ((module, found) for found in module.imports if found.target.partition(".")[0] == "gateway")


def unplaced(modules: Mapping[str, Module]) -> list[str]:
    """Units that stand in no layer."""
    units: dict[str, str] = {}
    for module in modules.values():
        units.setdefault(unit(module.name), module.path)
    return [
        f"{path}: `{name}` stands in no layer: put what it does into a unit that does, or draw it in architecture.md, "
        "gateway/README.md and LAYERS of this test"
        for name, path in sorted(units.items()) if name and name not in LAYER
    ]  # fmt: skip


def against_the_layers(modules: Mapping[str, Module]) -> list[str]:
    """Imports that go upwards, or sideways where none is drawn."""
    found = []
    for module, imported in own(modules):
        here, there = unit(module.name), unit(imported.target)
        if module.name == "gateway":
            found.append(f"{module.at(imported.line)}: the package itself imports nothing, so that all may import it")
        elif here == there or here not in LAYER or there not in LAYER or (here, there) in SIDEWAYS:
            continue
        elif LAYER[there] >= LAYER[here]:
            way = "up" if LAYER[there] > LAYER[here] else "sideways"
            found.append(
                f"{module.at(imported.line)}: `{here}` (layer {LAYER[here]}) imports {way} `{imported.target}` "
                f"(layer {LAYER[there]}): have layer 5 or 6 pass it in as a function, or move what both need down"
            )
    return found


def hidden(modules: Mapping[str, Module]) -> list[str]:
    """Imports inside functions, and by calls, which the other checks can't hold."""
    return [
        f"{module.at(imported.line)}: `{imported.target}` is imported inside a function or by a call: "
        "import it at the top of the module"
        for module in modules.values() for imported in module.imports
        if imported.hidden and not (module.name in CHOOSING and "import_module" in imported.target)
    ]  # fmt: skip


def misused_libraries(modules: Mapping[str, Module]) -> list[str]:
    """Libraries imported where they don't belong."""
    found = []
    for module in modules.values():
        for imported in module.imports:
            library = imported.target.partition(".")[0]
            homes = LIBRARIES.get(library)
            if homes is not None and not any(f"{module.name}.".startswith(f"{home}.") for home in homes):
                found.append(
                    f"{module.at(imported.line)}: `{imported.target}` is for {', '.join(homes)} alone: "
                    "call what these offer instead"
                )
    return found


def cycles(modules: Mapping[str, Module]) -> list[str]:
    """Modules that import each other round in a circle, each circle once."""
    edges = {
        name: sorted({i.target for i in module.imports if i.target in modules}) for name, module in modules.items()
    }
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def follow(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = trail[trail.index(name) :]
            found.setdefault(
                frozenset(circle),
                f"{modules[name].path}: circle {' -> '.join([*circle, name])}: "
                "move what they share into a module below them",
            )
        elif name not in done:
            for target in edges[name]:
                follow(target, (*trail, name))
            done.add(name)

    for name in edges:
        follow(name, ())
    return list(found.values())


CHECKS: tuple[Callable[[Mapping[str, Module]], list[str]], ...] = (
    unplaced,
    against_the_layers,
    hidden,
    misused_libraries,
    cycles,
)


@pytest.fixture(scope="module")
def modules(repository: Path) -> dict[str, Module]:
    return read(repository)


@pytest.mark.parametrize("check", CHECKS)
def test_the_gateway_keeps_to_its_layers(
    modules: dict[str, Module], check: Callable[[Mapping[str, Module]], list[str]]
) -> None:
    assert len(modules) > 30, "nothing was read"
    violations = check(modules)
    assert not violations, "\n".join(["", *violations])


def seeded(root: Path, **files: str) -> dict[str, Module]:
    """A synthetic tree: dotted names (with `__` for a dot) below gateway, with their texts."""
    for name, text in {"gateway": "", **{f"gateway__{name}": text for name, text in files.items()}}.items():
        path = root.joinpath(*name.split("__"))
        packages = any(other.startswith(f"{name.removeprefix('gateway__')}__") for other in files) or name == "gateway"
        path = path / "__init__.py" if packages else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return read(root)


def test_what_the_layers_allow_passes(tmp_path: Path) -> None:
    tree = seeded(
        tmp_path,
        source="import ast",
        fhir="from gateway.fhir import merge\nfrom gateway.fhir.merge import Draft",
        fhir__merge="import fhir.resources\nfrom gateway import source\nfrom gateway.source import Span",
        fhir__fhirpath="import lark.exceptions",
        upstream__store="from starlette.routing import Route\nimport simplejson\nimport gateway.fhir.merge",
        identity="from joserfc import jwt\nimport httpx",
        cli="from gateway import app\nimport gateway.fhir",
        app="import gateway.identity\nif True:\n    from gateway.upstream import store",
    )
    assert [check(tree) for check in CHECKS] == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import gateway.interactions.search", "imports up `gateway.interactions.search` (layer 5)"),
        ("from gateway import interactions", "imports up `gateway.interactions` (layer 5)"),
        ("from gateway.interactions import search", "imports up `gateway.interactions.search` (layer 5)"),
        ("from ..interactions.search import run", "imports up `gateway.interactions.search` (layer 5)"),
        ("from .. import interactions", "imports up `gateway.interactions` (layer 5)"),
        ("def f():\n    import gateway.interactions", "imports up `gateway.interactions` (layer 5)"),
        ("try:\n    import gateway.mapping\nexcept ImportError:\n    pass", "imports sideways `gateway.mapping`"),
        ("if TYPE_CHECKING:\n    from gateway.mapping.run import go", "imports sideways `gateway.mapping.run`"),
    ],
)
def test_an_import_against_the_layers_is_named(tmp_path: Path, text: str, words: str) -> None:
    files = {"interactions": "", "interactions__search": "", "mapping": "", "mapping__run": "", "rules__decide": text}
    (found,) = against_the_layers(seeded(tmp_path, rules="", **files))
    line = 1 + text[: text.index("gateway") if "gateway" in text else 0].count("\n")
    assert found.startswith(f"gateway/rules/decide.py:{line}: `rules` (layer 3) {words}")
    assert "pass it in as a function" in found


def test_a_drawn_import_is_one_way(tmp_path: Path) -> None:
    tree = seeded(tmp_path, app="import gateway.cli", cli="import gateway.app")
    (found,) = against_the_layers(tree)
    assert found.startswith("gateway/app.py:1: `app` (layer 6) imports sideways `gateway.cli` (layer 6)")
    (circle,) = cycles(tree)
    assert "gateway.app -> gateway.cli -> gateway.app" in circle


def test_a_unit_outside_the_table_is_named(tmp_path: Path) -> None:
    tree = seeded(tmp_path, helpers__text="", common="", source="")
    found = unplaced(tree)
    assert [words.split(": ")[0] for words in found] == ["gateway/common.py", "gateway/helpers/text.py"]
    assert "`common` stands in no layer" in found[0]


def test_the_package_itself_imports_nothing(tmp_path: Path) -> None:
    root = tmp_path / "gateway"
    root.mkdir()
    (root / "__init__.py").write_text("from gateway import source")
    (root / "source.py").write_text("")
    (found,) = against_the_layers(read(tmp_path))
    assert found.startswith("gateway/__init__.py:1: the package itself imports nothing")


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import json",
        "class C:\n    def m(self):\n        from json import loads",
        "async def f():\n    if x:\n        import json",
        "import importlib\nj = importlib.import_module('json')",
        "def f():\n    return __import__('json')",
    ],
)
def test_a_hidden_import_is_named(tmp_path: Path, text: str) -> None:
    (found,) = hidden(seeded(tmp_path, source=text))
    assert "imported inside a function or by a call" in found


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("documents", "import lark"),
        ("fhir__merge", "from lark import Lark"),
        ("hl7v2__reader", "import hl7apy.core"),
        ("mapping", "from fhir.resources.R4B import patient"),
        ("documents", "from fhir_core.types import Date"),
        ("interactions", "import httpx"),
        ("upstreamer", "import httpx"),
        ("app", "from httpx_aiohttp import AiohttpTransport"),
        ("upstream", "import joserfc.jwt"),
        ("interactions", "from authlib.oauth2 import rfc6749"),
        ("upstream__server", "from starlette.requests import Request"),
        ("identity", "import starlette"),
        ("mapping", "import simplejson"),
        ("upstream__server", "import simplejson"),
    ],
)
def test_a_library_away_from_its_home_is_named(tmp_path: Path, place: str, text: str) -> None:
    (found,) = misused_libraries(seeded(tmp_path, **{place: text}))
    assert found.startswith(f"gateway/{place.replace('__', '/')}.py:1: `{text.split()[1].partition(',')[0]}")


def test_a_circle_is_shown_once_and_whole(tmp_path: Path) -> None:
    tree = seeded(
        tmp_path,
        rules="from gateway.rules import check",
        rules__check="from gateway.rules.nodes import Node",
        rules__nodes="from . import compile",
        rules__compile="from gateway.rules import Name",
        query="import gateway.rules.nodes",
    )
    (found,) = cycles(tree)
    for step in ("gateway.rules.check -> gateway.rules.nodes", "gateway.rules.nodes -> gateway.rules.compile"):
        assert step in found
    assert "gateway.rules.compile -> gateway.rules" in found
    assert "gateway.query" not in found
