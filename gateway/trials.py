"""`gateway rules test`: the tests beside the rules, run against the rules and the maps, without a server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway import fhir, loading, rules
from gateway.interactions.fhir_conversion import converted
from gateway.interactions.refused import Refused
from gateway.language.nodes import Text
from gateway.loading import Decisions
from gateway.mapping import Context
from gateway.mapping.rows import told
from gateway.rules import Facts, Loaded, Vocabulary
from gateway.rules.accepting import overlays
from gateway.rules.trial.declared import Trial
from gateway.rules.trial.gaps import unsampled
from gateway.rules.trial.given import Conversion, Converted, World
from gateway.source import Diagnostic, Keep, made_anew
from gateway.tabular import Known, Row


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a folder of rules, ready to run."""

    trials: tuple[Trial, ...]
    world: World


def suite(folder: Path, specs: Path, keep: Keep = made_anew) -> Suite:
    """Load the rules of a folder with their tests, and what those need.

    Shape: `keep` holds what the files were parsed to.
    Errors: NotLoaded with every diagnostic, those of samples that are not there among them; SpecsError.
    """
    names = loading.vocabulary(specs)
    read = rules.load(folder, names, keep=keep)
    missing = missing_samples(read, folder)
    if read.rules is None or missing:
        raise loading.NotLoaded((*read.diagnostics, *missing))
    loaded = loading.decided(read, names, specs, keep)

    def sample(text: Text) -> bytes:
        return (_beside(folder, text.span.source.name) / text.value).read_bytes()

    return Suite(read.trials, World(loaded.rules, names, conversion(loaded, names), sample))


def missing_samples(read: Loaded, folder: Path) -> tuple[Diagnostic, ...]:
    """The files that tests name and that are not beside their rules."""
    places = {text.span.source.name for trial in read.trials for text in trial.samples}
    return unsampled(read.trials, {name: _files(_beside(folder, name)) for name in places})


def _beside(folder: Path, source: str) -> Path:
    """The folder that a rule file stands in. Shape: sources are named from above the folder of all rules."""
    return (folder.parent / source).parent


def _files(folder: Path) -> frozenset[str]:
    """Every file below a folder, as a test names it."""
    return frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def conversion(loaded: Decisions, names: Vocabulary) -> Conversion:
    """How tests convert what they send: as the gateway does."""
    marks = fhir.Marks(names.tables.systems.marks)

    def whole(facts: Facts, raw: bytes) -> Converted:
        context = _context(facts, loaded)
        if facts.message is not None:
            accepts = loaded.rules.domains[context.domain].accepts
            laid = overlays(accepts, facts.message.type, facts.message.version)
            made = loaded.maps.convert(facts.message, replace(context, overlays=laid))
            return Converted(tuple(draft.resource for draft in made.drafts), made.findings)
        resource = facts.resources[facts.type or ""][0][1]
        digest = hashlib.sha256(raw).hexdigest()
        try:
            found = converted(dict(resource), "", digest, context, names.elements, marks)
        except Refused as refusal:
            return Converted((), refusal.findings)
        return Converted(tuple(draft.resource for draft in found.drafts), found.findings)

    def row(facts: Facts, sent: Row) -> Converted:
        rows = loaded.row_maps[facts.type or ""]
        made = rows.convert(sent, told(_context(facts, loaded), rows.marks))
        return Converted(tuple(draft.resource for draft in made.drafts), made.findings)

    def codes(layout: str) -> Mapping[str, Known]:
        return loaded.row_maps[layout].known

    return Conversion(whole, row, codes)


def _context(facts: Facts, loaded: Decisions) -> Context:
    return Context(
        organisation=facts.organisation or "",
        domain=facts.domain or "",
        received=facts.now,
        receipt="test",
        rules_digest=loaded.rules.digest,
    )
