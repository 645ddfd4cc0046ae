"""Loads the maps and code maps of a folder: read, check, compile; all of them or, with any fault, none."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.fhir import Marks
from gateway.hl7v2 import dictionary
from gateway.mapping import check, codes, compile, messages, structure  # noqa: A004 - the stage's name, never called bare
from gateway.mapping.check_messages import check_message, once
from gateway.mapping.convert import Maps
from gateway.mapping.nodes import Key, Map, MessageMap, Statement
from gateway.mapping.parse import parse
from gateway.mapping.vocabulary import Versions, Vocabulary
from gateway.mapping.when_used import WhenUsed
from gateway.source import Diagnostic, Keep, Source, Span, in_order, made_anew

FOLDERS = ("datatypes", "segments", "messages")


@dataclass(frozen=True, slots=True)
class LoadedMaps:
    """The maps, None where there is any error, and what is wrong with them."""

    maps: Maps | None
    diagnostics: tuple[Diagnostic, ...]


def load(root: Path, vocabulary: Vocabulary, keep: Keep = made_anew) -> LoadedMaps:
    """The maps below `root/hl7v2` with the code maps of `root/codes`.

    Shape: `root` is a folder as `specs/` is; `keep` holds what the files were parsed to.
    Errors: diagnostics in the order of files and lines.
    """
    files = [path for folder in FOLDERS for path in sorted((root / "hl7v2" / folder).glob("*.map"))]
    sources = [Source(_shown(path, root), path.read_text(encoding="utf-8")) for path in files]
    try:
        known = codes.load(root / "codes")
    except specs.SpecsError as fault:
        return LoadedMaps(None, (_bad_file(root, fault),))
    parsed = keep("maps", sources, lambda: [parse(source) for source in sources])
    wrong = [diagnostic for each in parsed for diagnostic in each.diagnostics]
    if wrong:
        return LoadedMaps(None, in_order(wrong))
    statements = [statement for each in parsed for statement in each.statements]
    versions = Versions(
        vocabulary.dictionaries,
        tuple(v for v in dictionary.versions(root) if v not in vocabulary.dictionaries),
        functools.partial(dictionary.load, root=root),
    )
    maps, doubles = _by_key(statements)
    library = check.Library(maps, known, vocabulary.elements, versions)
    checked: dict[Key, Map] = {}
    checked_messages: list[MessageMap] = []
    wrong = list(doubles)
    for statement in statements:
        if isinstance(statement, MessageMap):
            made, faults = check_message(statement, library)
            checked_messages.append(made)
        else:
            checked[statement.key], faults = check.check(statement, library)
        wrong.extend(faults)
    if any(d.severity == "error" for d in wrong):
        return LoadedMaps(None, in_order(wrong))
    ready = compile.Library(checked, known, vocabulary.elements)
    triggered = {trigger.text: made for made in checked_messages for trigger in made.triggers}
    converters = WhenUsed(triggered, lambda made: structure.compiled(made, once(made.structure.text, library), ready))
    marks = Marks(vocabulary.tables.systems.marks)
    return LoadedMaps(Maps(_digest(root, files), converters, marks), in_order(wrong))


def _by_key(statements: Iterable[Statement]) -> tuple[dict[Key, Map], list[Diagnostic]]:
    """The maps by what they are found by; a map, or a message type, that stands twice is a fault."""
    maps: dict[Key, Map] = {}
    triggers: dict[str, Span] = {}
    wrong: list[Diagnostic] = []
    for statement in statements:
        if isinstance(statement, MessageMap):
            for word in statement.triggers:
                first = triggers.setdefault(word.text, word.span)
                if first is not word.span:
                    wrong.append(messages.TWICE.at(word.span, word=word.text, place=first))
            continue
        standing = maps.setdefault(statement.key, statement)
        if standing is not statement:
            wrong.append(messages.TWICE.at(statement.span, word=statement.title, place=standing.span))
    return maps, wrong


def _shown(path: Path, root: Path) -> str:
    return str(Path(root.name) / path.relative_to(root))


def _bad_file(root: Path, fault: specs.SpecsError) -> Diagnostic:
    """A fault of a code map, at its line."""
    path = next((p for p in (root.parent / fault.origin.file, root / fault.origin.file) if p.is_file()), None)
    source = Source(fault.origin.file, path.read_text(encoding="utf-8", errors="replace") if path is not None else "")
    start = sum(len(line) + 1 for line in source.text.split("\n")[: fault.origin.line - 1])
    line = source.line(fault.origin.line)
    return messages.BAD_FILE.at(Span(source, start, start + len(line)), words=str(fault).partition(": ")[2])


def _digest(root: Path, files: Iterable[Path]) -> str:
    """Name of a set of maps: the hash of every file's place and content."""
    digest = hashlib.sha256()
    for path in (*files, *sorted((root / "codes").glob("*.csv"))):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
