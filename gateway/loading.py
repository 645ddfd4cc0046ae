"""What decides and converts, loaded from `rules/` and `specs/`; or every diagnostic of what stands there.

Commands that serve nothing stand on this alone.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gateway import fhir, mapping, rules, specs, tabular
from gateway.hl7v2 import conformance, dictionary
from gateway.mapping import CodeMap, Maps, codes, rows
from gateway.mapping.rows import RowMap
from gateway.rules import RuleSet, Vocabulary
from gateway.rules.accepting import between
from gateway.rules.load import uncollected
from gateway.rules.trial.declared import Trial
from gateway.source import Diagnostic, Keep, in_order, made_anew, render
from gateway.specs import FhirTables
from gateway.stated import Stated
from gateway.tabular import Layout


class NotLoaded(Stated):
    """Rules or maps with an error; nothing is served from them."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Keep what to show."""
        super().__init__("rules or maps have errors, so nothing is served from them")
        self.diagnostics = diagnostics

    def before(self) -> tuple[str, ...]:
        """The diagnostics, each with its line and caret."""
        return tuple(map(render, self.diagnostics))


Files = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change of files."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The files as they were just before they were read, so that whatever changes from then on is seen."""

    rules: Files
    specs: Files


@dataclass(frozen=True, slots=True)
class Decisions:
    """What decides and converts, loaded from `rules/` and `specs/`. Shape: `looked` where folders were read."""

    rules: RuleSet
    maps: Maps
    row_maps: Mapping[str, RowMap]
    tables: FhirTables
    elements: fhir.Elements
    warnings: tuple[Diagnostic, ...]
    trials: tuple[Trial, ...] = ()
    looked: Looked | None = None


def vocabulary(root: Path) -> Vocabulary:
    """The names that rules and maps are checked against.

    Errors: SpecsError for tables that can't be read.
    """
    tables = specs.fhir(root)
    elements = fhir.Elements(tables)
    return Vocabulary(
        dictionaries=dictionary.Dictionaries(root), elements=elements, tables=tables,
        layouts=layouts(root, codes.load(root / codes.FOLDER)), overlays=frozenset(mapping.overlays(root)),
        conformance=conformance.load(root), standards=fhir.standards(elements, root),
    )  # fmt: skip


def layouts(root: Path, code_maps: Mapping[str, CodeMap]) -> Mapping[str, Layout]:
    """The layouts of CSV files.

    Errors: NotLoaded with every diagnostic.
    """
    read = tabular.load(root, rows.known(code_maps))
    if read.diagnostics:
        raise NotLoaded(read.diagnostics)
    return read.layouts


@uncollected()
def decisions(
    rules_folder: Path, specs_folder: Path, keep: Keep = made_anew, standing: Decisions | None = None
) -> Decisions:
    """Load rules and maps.

    Shape: `keep` holds what their files were parsed to; of `standing`, which was loaded before, the maps stay where
    nothing that they stand on is another: they take longest.
    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    looked = Looked(files(rules_folder), files(specs_folder))
    names = vocabulary(specs_folder)
    read = rules.load(rules_folder, names, keep=keep)
    if read.rules is None or standing is None or not _stays(standing, looked, read.rules, names):
        return replace(decided(read, names, specs_folder, keep), looked=looked)
    return replace(standing, rules=read.rules, warnings=read.diagnostics, trials=read.trials, looked=looked)


def _stays(standing: Decisions, looked: Looked, ruleset: RuleSet, names: Vocabulary) -> bool:
    """Whether the files that maps are made of are those of before, and the versions and overlays that rules name."""
    same = standing.looked is not None and standing.looked.specs == looked.specs
    return same and all(of(standing.rules) == of(ruleset) for of in (lambda r: _versions(r, names), laid))


@uncollected()
def decided(
    read: rules.Loaded, names: Vocabulary, specs_folder: Path, keep: Keep = made_anew,
    over: Iterable[tuple[str, ...]] = (),
) -> Decisions:  # fmt: skip
    """The same of rules that were read. Shape: `over` are overlays that are loaded besides those that rules name.

    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    if read.rules is None:
        raise NotLoaded(read.diagnostics)
    mapped = mapping.load(specs_folder, accepted(read.rules, names), keep, laid(read.rules) | {*over})
    marks = fhir.Marks(names.tables.systems.marks)
    by_row = rows.load(names.layouts, names.elements, codes.load(specs_folder / codes.FOLDER), marks, keep)
    found = in_order((*read.diagnostics, *mapped.diagnostics, *by_row.diagnostics))
    if mapped.maps is None or len(by_row.maps) < len(names.layouts):
        raise NotLoaded(found)
    return Decisions(read.rules, mapped.maps, by_row.maps, names.tables, names.elements, found, read.trials)


def accepted(ruleset: RuleSet, names: Vocabulary) -> Vocabulary:
    """The same names, with the dictionaries of the HL7 versions that some domain accepts alone."""
    accepts = [a for domain in ruleset.domains.values() for a in domain.accepts if a.data_type == "Hl7v2"]
    versions = {version for accept in accepts for version in between(accept.versions, names)}
    return replace(names, dictionaries={version: names.dictionaries[version] for version in sorted(versions)})


def laid(ruleset: RuleSet) -> frozenset[tuple[str, ...]]:
    """The overlays that some domain has messages converted with, as they are laid."""
    return frozenset(accept.overlays for domain in ruleset.domains.values() for accept in domain.accepts)


def _versions(ruleset: RuleSet, names: Vocabulary) -> frozenset[str]:
    return frozenset(accepted(ruleset, names).dictionaries)


def files(folder: Path) -> Files:
    """Regular files below a folder, sorted by name."""
    found = []
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):  # one that goes meanwhile is seen as gone
            told = path.stat()
            if stat.S_ISREG(told.st_mode):
                found.append((str(path), told.st_size, told.st_mtime_ns))
    return tuple(found)
