"""The `accept` statements of a domain: which types, layouts and versions it takes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping

from gateway.hl7v2.dictionary import Dictionary
from gateway.hl7v2.structure import Group, SegmentUse
from gateway.language import messages
from gateway.language.nodes import Word
from gateway.rules.clauses import Report, choose, every, said, words
from gateway.rules.declared import Accept
from gateway.rules.facts import DATA_TYPES
from gateway.rules.ground import Ground, Vocabulary, resource_type
from gateway.rules.nodes import Said, Statement
from gateway.source import nearest
from gateway.tabular import overlap

_VERSION = re.compile(r"\d{1,2}(?:\.\d{1,2}){1,3}", re.ASCII)


def accept(statement: Statement, vocabulary: Vocabulary, report: Report) -> Accept | None:
    """One `accept` statement. The data type stands where other statements have their name."""
    data_type = statement.name
    if choose(data_type, DATA_TYPES, "data type", report) is None:
        return None
    types = tuple(word for clause in every(statement, Said) if clause.kind == "names" for word in clause.words)
    return _ACCEPTS[data_type.text](statement, types, vocabulary, report)


def _accept_hl7v2(
    statement: Statement, types: tuple[Word, ...], vocabulary: Vocabulary, report: Report
) -> Accept | None:
    """Message types that some accepted version of HL7 has."""
    _not_said(statement, "holding", _HOLDING, report)
    laid = _overlays(words(statement, _CONVERT, report), vocabulary, report)
    span = said(statement, "versions", report)
    versions = None if span is None else _versions(span, vocabulary, report)
    if span is not None and versions is None:
        return None
    taken = between(versions, vocabulary)
    dictionaries = {version: vocabulary.dictionaries[version] for version in taken}
    known = tuple(word.text for word in types if _known_type(word, dictionaries, report))
    return Accept("Hl7v2", known, versions, statement.span, overlays=laid)


def _accept_fhir(
    statement: Statement, types: tuple[Word, ...], vocabulary: Vocabulary, report: Report
) -> Accept | None:
    """Resource types, which FHIR R4 has."""
    _not_said(statement, "versions", _VERSIONS, report)
    _not_said(statement, _CONVERT, _OVERLAYS, report)
    known = tuple(word.text for word in types if resource_type(word, vocabulary, report))
    holding = said(statement, "holding", report)
    if holding is not None and "Bundle" not in known:
        report.say(messages.NOTHING_READ.at(holding.span, _HOLDING, word="holding"))
    held = () if holding is None else holding.words
    holds = tuple(word.text for word in held if resource_type(word, vocabulary, report))
    return Accept("Fhir", known, None, statement.span, holds)


def _accept_csv(statement: Statement, types: tuple[Word, ...], vocabulary: Vocabulary, report: Report) -> Accept | None:
    """Layouts, which stand in specs/csv/."""
    _not_said(statement, "versions", _VERSIONS, report)
    _not_said(statement, "holding", _HOLDING, report)
    _not_said(statement, _CONVERT, _OVERLAYS, report)
    known: list[str] = []
    for word in types:
        if word.text in vocabulary.layouts:
            known.append(word.text)
            continue
        near = nearest(word.text, vocabulary.layouts)
        report.say(messages.UNKNOWN_LAYOUT.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text))
    return Accept("Csv", tuple(known), None, statement.span)


def told_apart(ground: Ground, report: Report) -> None:
    """Say which accepted layouts a file could not be told apart by."""
    layouts = ground.vocabulary.layouts
    for accepted in ground.accepts:
        for name in accepted.types if accepted.data_type == "Csv" else ():
            other = next((o for o in ground.accepted("Csv") if o < name and overlap(layouts[o], layouts[name])), None)
            if other is not None:
                report.say(messages.LAYOUTS_OVERLAP.at(accepted.span, word=name, other=other))


def converted_once(ground: Ground, report: Report) -> None:
    """Say which message types two statements take and convert with other maps."""
    accepts = [one for one in ground.accepts if one.data_type == "Hl7v2"]
    for number, one in enumerate(accepts):
        for other in accepts[:number]:
            both = sorted({*one.types} & {*other.types})
            together = {*between(one.versions, ground.vocabulary)} & {*between(other.versions, ground.vocabulary)}
            if both and together and one.overlays != other.overlays:
                place = str(other.span).rpartition("/")[2]
                report.say(messages.TWO_WAYS.at(one.span, word=both[0], other=place))


_ACCEPTS: Mapping[str, Callable[[Statement, tuple[Word, ...], Vocabulary, Report], Accept | None]] = {
    "Hl7v2": _accept_hl7v2,
    "Fhir": _accept_fhir,
    "Csv": _accept_csv,
}
"""How each data type of `DATA_TYPES` is accepted."""


_VERSIONS = "only `accept Hl7v2` names versions"
_HOLDING = "only `accept Fhir Bundle` says what it may hold"
_OVERLAYS = "only `accept Hl7v2` is converted with maps that overlays are laid over"
_CONVERT = "convert with"


def _not_said(statement: Statement, clause: str, hint: str, report: Report) -> None:
    """Say that a clause means nothing for this data type."""
    found = said(statement, clause, report)
    if found is not None:
        report.say(messages.NOTHING_READ.at(found.span, hint, word=clause))


def _versions(clause: Said, vocabulary: Vocabulary, report: Report) -> tuple[str, str] | None:
    low, high = clause.words
    for word in clause.words:
        if word.text not in vocabulary.dictionaries:
            hint = "it has " + ", ".join(sorted(vocabulary.dictionaries, key=_order))
            report.say(messages.NO_SUCH_VERSION.at(word.span, hint, word=word.text))
            return None
    if _order(low.text) > _order(high.text):
        report.say(messages.ORDER_OF_TWO.at(low.span, first=low.text, last=high.text))
        return None
    return low.text, high.text


def _overlays(names: tuple[Word, ...], vocabulary: Vocabulary, report: Report) -> tuple[str, ...]:
    """Overlays that there are, each once."""
    known: list[str] = []
    for word in names:
        if word.text in known:
            report.say(messages.TWICE.at(word.span, word=word.text))
        elif word.text in vocabulary.overlays:
            known.append(word.text)
        else:
            near = nearest(word.text, vocabulary.overlays)
            hint = (
                f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(vocabulary.overlays)) or 'none'}"
            )
            report.say(messages.UNKNOWN_OVERLAY.at(word.span, hint, word=word.text))
    return tuple(known)


def overlays(accepts: Iterable[Accept], message_type: str | None, version: str | None) -> tuple[str, ...]:
    """What is laid over the maps for a message, by the statement that accepts its type and version, else its type."""
    fitting = [a for a in accepts if a.data_type == "Hl7v2" and message_type in a.types]
    exact = (a for a in fitting if a.versions is None or _within(version or "", a.versions))
    found = next(exact, next(iter(fitting), None))
    return () if found is None else found.overlays


def _within(version: str, versions: tuple[str, str]) -> bool:
    low, high = map(_order, versions)
    return bool(_VERSION.fullmatch(version)) and low <= _order(version) <= high


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def between(versions: tuple[str, str] | None, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The versions that an `accept` takes, oldest first."""
    known = sorted(vocabulary.dictionaries, key=_order)
    if versions is None:
        return tuple(known)
    low, high = map(_order, versions)
    return tuple(version for version in known if low <= _order(version) <= high)


def _known_type(word: Word, dictionaries: Mapping[str, Dictionary], report: Report) -> bool:
    """A type that no accepted version has is an error; one that some lack is not: the reader refuses it there."""
    if any(dictionary.structure_of(word.text) is not None for dictionary in dictionaries.values()):
        return True
    versions = list(dictionaries)
    shown = versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"
    events = {"^".join(key) for dictionary in dictionaries.values() for key in dictionary.events}
    own = {name.replace("_", "^") for dictionary in dictionaries.values() for name in dictionary.structures}
    near = nearest(word.text, events | own)
    hint = f"did you mean `{near}`?" if near and near != word.text else None
    report.say(messages.NO_SUCH_TYPE.at(word.span, hint, word=word.text, version=shown))
    return False


def repeating(
    accepts: Iterable[Accept], dictionaries: Mapping[str, Dictionary], vocabulary: Vocabulary
) -> frozenset[str]:
    """Segments that may occur more than once in some accepted message."""
    found: set[str] = set()
    for one_accept in accepts:
        if one_accept.data_type != "Hl7v2":
            continue
        for version in between(one_accept.versions, vocabulary):
            dictionary = dictionaries[version]
            for message_type in one_accept.types:
                name = dictionary.structure_of(message_type)
                if name is not None:
                    found |= _repeated_in(dictionary, name)
    return frozenset(found)


@functools.lru_cache(maxsize=4096)
def _repeated_in(dictionary: Dictionary, structure: str) -> frozenset[str]:
    """The same of one structure: every domain that accepts it asks."""
    return frozenset(_repeated(dictionary.structures[structure], below=False))


def _repeated(group: Group, *, below: bool) -> set[str]:
    """Segments of a structure that may stand more than once; `below` where the group around them already may."""
    found: set[str] = set()
    seen: set[str] = set()
    for member in group.members:
        again = below or member.max is None or member.max > 1
        if isinstance(member, SegmentUse):
            names = {member.name}
            if again:
                found.add(member.name)
        else:
            names = set(member.segments())
            found |= _repeated(member, below=again)
        if not group.choice:
            found |= names & seen
        seen |= names
    return found
