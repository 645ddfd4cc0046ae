"""Loads the maps and code maps of a folder: read, check, compile; all of them or, with any fault, none."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway import specs
from gateway.fhir import Marks
from gateway.hl7v2 import dictionary
from gateway.mapping import check, codes, compile, messages, overlay, structure  # noqa: A004 - the stage's name, never called bare
from gateway.mapping.check_messages import check_message, once
from gateway.mapping.codes import CodeMap
from gateway.mapping.convert import Maps
from gateway.mapping.newer import with_newer, younger_segments
from gateway.mapping.nodes import Key, Map, MessageMap, Statement
from gateway.mapping.parse import parse
from gateway.mapping.vocabulary import Versions, Vocabulary
from gateway.mapping.when_used import WhenUsed
from gateway.source import Diagnostic, Keep, Source, Span, in_order, made_anew, nearest

FOLDERS = ("datatypes", "segments", "messages")
_MAPS = "hl7v2"
_DICTIONARY = "dictionary"

Overlaid = tuple[str, ...]
"""Names of overlays in the order in which they are laid; none of them for the maps as they stand."""


@dataclass(frozen=True, slots=True)
class LoadedMaps:
    """The maps, None where there is any error, and what is wrong with them.

    Shape: `statements` are the checked ones of the base, and `library` what its converters are compiled from.
    """

    maps: Maps | None
    diagnostics: tuple[Diagnostic, ...]
    statements: tuple[Statement, ...] = ()
    library: compile.Library | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """What stands in the folders of the base, of an overlay, or of both together."""

    statements: tuple[Statement, ...]
    codes: Mapping[str, CodeMap]
    files: tuple[Path, ...]


def overlays(root: Path) -> tuple[str, ...]:
    """Names of the overlays below `root/hl7v2`: its folders that hold neither maps nor dictionaries."""
    others = {*FOLDERS, _DICTIONARY}
    return tuple(sorted(p.name for p in (root / _MAPS).iterdir() if p.is_dir() and p.name not in others))


def load(
    root: Path, vocabulary: Vocabulary, keep: Keep = made_anew, laid: Iterable[Overlaid] = (), *, traced: bool = False
) -> LoadedMaps:
    """The maps below `root/hl7v2` with the code maps of `root/codes`.

    Shape: `root` is a folder as `specs/` is, whose vocabulary it is where `keep` holds what the files were parsed and
    checked to; `laid` are the overlays that messages are converted with, each of them one of `overlays(root)`;
    converters that are `traced` tell which rows ran.
    Errors: diagnostics in the order of files and lines.
    """
    wanted = tuple(dict.fromkeys(names for names in laid if names))
    layers = ("", *dict.fromkeys(name for names in wanted for name in names))
    try:
        read = _read(root, layers, keep)
    except specs.SpecsError as fault:
        return LoadedMaps(None, (bad_file(root, fault),))
    if isinstance(read, tuple):
        return LoadedMaps(None, in_order(read))
    base, versions = read[""], _versions(root, vocabulary)
    checked = _kept(root, base, vocabulary, versions, keep)
    wrong = [*overlay.misplaced(base.statements), *checked.diagnostics]
    made: dict[Overlaid, Maps] = {}
    for names in wanted:
        above, zone, faults = _over(names, read)
        over = _checked(above, vocabulary, versions, checked)
        wrong += [*faults, *over.diagnostics]
        if not _faulty(wrong):
            made[names] = _maps(over, above, root, _ready(over, vocabulary, traced=traced), zone=zone)
    if _faulty(wrong):
        return LoadedMaps(None, in_order(wrong))
    ready = _ready(checked, vocabulary, traced=traced)
    maps = _maps(checked, base, root, ready, overlaid=made)
    return LoadedMaps(maps, in_order(wrong), tuple(checked.made.values()), ready)


def _read(root: Path, layers: Sequence[str], keep: Keep) -> dict[str, _Read] | tuple[Diagnostic, ...]:
    """The maps of the base, named by the empty text, and of overlays; or what can't be read in them.

    Errors: SpecsError for a code map, and for a file that is not UTF-8.
    """
    files = {name: _files(root, name) for name in layers}
    sources = [Source(_shown(path, root), "\n".join(specs.lines_of(path))) for each in files.values() for path in each]
    parsed = keep("maps", sources, lambda: [parse(source) for source in sources])
    unread = (diagnostic for name in layers if name for diagnostic in _not_read(root, name))
    wrong = (*unread, *(diagnostic for each in parsed for diagnostic in each.diagnostics))
    if wrong:
        return wrong
    made: dict[str, _Read] = {}
    rest = iter(parsed)
    for name, paths in files.items():
        statements = tuple(statement for _, each in zip(paths, rest, strict=False) for statement in each.statements)
        folder = root / _MAPS / name / codes.FOLDER if name else root / codes.FOLDER
        made[name] = _Read(statements, codes.load(folder), (*paths, *sorted(folder.glob("*.csv"))))
    return made


def _files(root: Path, name: str) -> tuple[Path, ...]:
    """The files of maps of the base, or of an overlay, which may also stand beside its folders."""
    folder = root / _MAPS / name
    beside = sorted(folder.glob("*.map")) if name else []
    return (*beside, *(path for inner in FOLDERS for path in sorted((folder / inner).glob("*.map"))))


def _not_read(root: Path, name: str) -> Iterator[Diagnostic]:
    """Folders of an overlay that have none of the names of those that are read, each at its first file."""
    known = (*FOLDERS, codes.FOLDER)
    for folder in sorted((root / _MAPS / name).iterdir()):
        first = next((path for path in sorted(folder.rglob("*")) if path.is_file()), None)
        if folder.name in known or first is None:
            continue
        near = nearest(folder.name, known)
        words = f"did you mean `{near}`?" if near else "move what is in it there"
        span = Span(Source(_shown(first, root), first.read_text("utf-8", "replace")), 0, 0)
        yield messages.NOT_READ.at(span, word=folder.name, known=", ".join(f"`{one}`" for one in known), near=words)


def _over(names: Overlaid, read: Mapping[str, _Read]) -> tuple[_Read, str | None, list[Diagnostic]]:
    """The base with overlays over it, one after the other; their zone, and what is wrong."""
    statements, known, files = read[""].statements, dict(read[""].codes), read[""].files
    zone: str | None = None
    wrong: list[Diagnostic] = []
    for name in names:
        above = read[name]
        doubles = _by_key(above.statements)[1]
        made = overlay.laid(statements, above.statements)
        wrong += [*doubles, *made.diagnostics, *overlay.named(name, above.statements)]
        statements, zone, files = made.statements, made.zone or zone, (*files, *above.files)
        for code_map in above.codes.values():
            known[code_map.name] = codes.laid(known.get(code_map.name), code_map)
    return _Read(statements, known, files), zone, wrong


@dataclass(frozen=True, slots=True)
class _Checked:
    """Checked maps, with what they were checked by. Shape: `made` by the identity of what stands in `statements`."""

    statements: tuple[Statement, ...]
    codes: Mapping[str, CodeMap]
    made: Mapping[int, Map | MessageMap]
    library: check.Library
    diagnostics: tuple[Diagnostic, ...]


def _checked(read: _Read, vocabulary: Vocabulary, versions: Versions, before: _Checked | None = None) -> _Checked:
    """Check maps; what an overlay left as it was is not checked a second time."""
    maps, wrong = _by_key(read.statements)
    library = check.Library(maps, read.codes, vocabulary.elements, versions)
    done = _unchanged(read.codes, before)
    made: dict[int, Map | MessageMap] = {}
    for statement in read.statements:
        if id(statement) in done:
            made[id(statement)] = done[id(statement)]
        elif isinstance(statement, MessageMap):
            made[id(statement)], faults = check_message(statement, library)
            wrong.extend(faults)
        elif isinstance(statement, Map):
            made[id(statement)], faults = check.check(statement, library)
            wrong.extend(faults)
    return _Checked(read.statements, read.codes, made, library, tuple(wrong))


def _kept(root: Path, read: _Read, vocabulary: Vocabulary, versions: Versions, keep: Keep) -> _Checked:
    """Checked maps of the base; what they were found to be before, where nothing below `root` is another since."""
    if keep is made_anew:
        return _checked(read, vocabulary, versions)

    def make() -> tuple[list[Map | MessageMap | None], tuple[Diagnostic, ...]]:
        checked = _checked(read, vocabulary, versions)
        return [checked.made.get(id(statement)) for statement in read.statements], checked.diagnostics

    texts = dict.fromkeys(statement.span.source for statement in read.statements)
    found, wrong = keep("checked", (_standing(root, vocabulary), *texts), make)
    pairs = zip(read.statements, found, strict=True)
    made = {id(statement): one for statement, one in pairs if one is not None}
    library = check.Library(_by_key(read.statements)[0], read.codes, vocabulary.elements, versions)
    return _Checked(read.statements, read.codes, made, library, wrong)


def _standing(root: Path, vocabulary: Vocabulary) -> Source:
    """What maps are checked by, as one text: the accepted versions, and name, size and times of each file.

    The time of its last change of any kind goes with them: copies and images keep that of its content.
    """
    told: list[str] = []
    for folder, _, names in os.walk(root, followlinks=True):
        for path in (Path(folder, name) for name in names):
            with suppress(OSError):  # one that goes meanwhile is seen as gone
                file = path.stat()
                told.append(f"{path} {file.st_size} {file.st_mtime_ns} {file.st_ctime_ns}")
    return Source(root.name, "\n".join([*vocabulary.dictionaries, *sorted(told)]))


def _unchanged(known: Mapping[str, CodeMap], before: _Checked | None) -> Mapping[int, Map | MessageMap]:
    """What was checked already, by the identity of the statement that it was."""
    if before is None:
        return {}
    changed = {name for name, code_map in known.items() if before.codes.get(name) is not code_map}
    return {key: made for key, made in before.made.items() if not changed & overlay.coded_by(made)}


def _ready(checked: _Checked, vocabulary: Vocabulary, *, traced: bool) -> compile.Library:
    """Checked maps, to be compiled when they are used."""
    maps = {one.key: one for one in checked.made.values() if isinstance(one, Map)}
    return compile.Library(maps, checked.codes, vocabulary.elements, traced)


def _maps(
    checked: _Checked, read: _Read, root: Path, ready: compile.Library,
    *, zone: str | None = None, overlaid: Mapping[Overlaid, Maps] = MappingProxyType({}),
) -> Maps:  # fmt: skip
    """Checked maps as converters."""
    of_messages = [one for one in checked.made.values() if isinstance(one, MessageMap)]
    triggered = {trigger.text: one for one in of_messages for trigger in one.triggers}
    library = checked.library
    converters = WhenUsed(triggered, lambda made: structure.compiled(made, once(made.structure.text, library), ready))
    return Maps(_digest(root, read.files), converters, Marks(ready.elements.tables.systems.marks), zone, overlaid)


def _faulty(wrong: Iterable[Diagnostic]) -> bool:
    return any(diagnostic.severity == "error" for diagnostic in wrong)


def _versions(root: Path, vocabulary: Vocabulary) -> Versions:
    """The accepted versions, and all others where they are asked for."""
    return Versions(
        vocabulary.dictionaries,
        tuple(v for v in dictionary.versions(root) if v not in vocabulary.dictionaries),
        functools.partial(dictionary.load, root=root),
        functools.cache(lambda: with_newer(dictionary.load(dictionary.versions(root)[-1], root), root)),
        functools.cache(functools.partial(younger_segments, root)),
    )


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
        if not isinstance(statement, Map):
            continue
        standing = maps.setdefault(statement.key, statement)
        if standing is not statement:
            wrong.append(messages.TWICE.at(statement.span, word=statement.title, place=standing.span))
    return maps, wrong


def _shown(path: Path, root: Path) -> str:
    return str(Path(root.name) / path.relative_to(root))


def bad_file(root: Path, fault: specs.SpecsError) -> Diagnostic:
    """A fault of a table, at its line."""
    path = next((p for p in (root.parent / fault.origin.file, root / fault.origin.file) if p.is_file()), None)
    source = Source(fault.origin.file, path.read_text(encoding="utf-8", errors="replace") if path is not None else "")
    start = sum(len(line) + 1 for line in source.text.split("\n")[: fault.origin.line - 1])
    line = source.line(fault.origin.line)
    return messages.BAD_FILE.at(Span(source, start, start + len(line)), words=str(fault).partition(": ")[2])


def _digest(root: Path, files: Iterable[Path]) -> str:
    """Name of a set of maps: the hash of every file's place and content."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
