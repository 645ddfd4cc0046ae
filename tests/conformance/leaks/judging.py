"""Whether an answer is the one that must come, and tells nothing that it must not.

Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.conformance.leaks.canaries import Canaries
from tests.conformance.leaks.sending import Answer

_RANDOM: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "INSTANT"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "DATE"),
)
_TOKEN = re.compile(r"(?<=_page=)[^\"&\s]+")
_PASSING = frozenset({"date", "retry-after"})
OK, NOT_MODIFIED, CLIENT_ERROR, SERVER_ERROR = 200, 304, 400, 500
Told = Iterator[str]


def leaks(asked: str, answer: Answer, canaries: Canaries) -> Told:
    """Words in an answer that must not leave and that the request did not bring."""
    heads = (answer.line, *(f"{name}: {value}" for name, value in answer.headers))
    for place, texts in (("status line or headers", heads), ("body", (answer.body,))):
        told = canaries.told(texts, asked=asked)
        if told:
            yield f"{place} tell {', '.join(told)}"


def unlike(asked: str, answer: Answer, twin: Answer, canaries: Canaries) -> Told:
    """What differs between the answer about what is hidden and that about what there isn't."""
    if answer.line != twin.line:
        yield f"{answer.line} where it is hidden, {twin.line} where it isn't there"
        return
    if len(answer.body) != len(twin.body):
        yield f"{len(answer.body)} bytes where it is hidden, {len(twin.body)} where it isn't there"
    own = _settled(_text(answer))
    other = _settled(canaries.back(asked, _text(twin)))
    if own != other:
        at = next((n for n, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), min(len(own), len(other)))
        here, there = (text[max(0, at - 60) : at + 60] for text in (own, other))
        yield f"`{here}` where it is hidden, `{there}` where it isn't there"


def _text(answer: Answer) -> str:
    kept = sorted(f"{name.lower()}: {value}" for name, value in answer.headers if name.lower() not in _PASSING)
    return "\n".join((*kept, answer.body.decode("utf-8", "replace")))


def _settled(text: str) -> str:
    """A text without what is another one each time; of a page's token its length stays."""
    for pattern, word in _RANDOM:
        text = pattern.sub(word, text)
    return _TOKEN.sub(lambda found: f"TOKEN-OF-{len(found[0])}", text)


def unexpected(expected: str, answer: Answer) -> Told:
    """How an answer differs from what must be answered, in the words of the `.cases` files."""
    word, _, rest = expected.partition(" ")
    if answer.status >= SERVER_ERROR and word != "status":
        yield f"answered {answer.status}: {answer.body[:300]!r}"
        return
    yield from _EXPECTED[word](answer, rest)


def _status(answer: Answer, rest: str) -> Told:
    wanted = {int(number) for number in rest.split()}
    if answer.status not in wanted:
        yield f"answered {answer.status}, not {rest}: {answer.body[:300]!r}"


def _refused(answer: Answer, rest: str) -> Told:
    if rest:
        yield from _status(answer, rest)
    elif not CLIENT_ERROR <= answer.status < SERVER_ERROR:
        yield f"answered {answer.status}, not refused: {answer.body[:300]!r}"


def _absent(answer: Answer, _: str) -> Told:
    yield from _status(answer, "404")


def _well(answer: Answer, _: str) -> Told:
    if not OK <= answer.status < CLIENT_ERROR:
        yield f"answered {answer.status}: {answer.body[:300]!r}"


def _unchanged(answer: Answer, _: str) -> Told:
    yield from _status(answer, "304")


def _empty(answer: Answer, _: str) -> Told:
    yield from _shows(answer, "")


def _nothing(answer: Answer, _: str) -> Told:
    """Refused, absent or empty."""
    if answer.status < CLIENT_ERROR:
        yield from _shows(answer, "")


def _shows(answer: Answer, rest: str) -> Told:
    """Ids of the matches, in any order, behind `+` those of what comes with them; a resource shows itself."""
    if answer.status != OK or answer.resource is None:
        yield from _status(answer, "200")
        return
    matches, _, included = (part.strip() for part in rest.partition("+"))
    bundle = answer.resource
    if bundle.get("resourceType") != "Bundle":
        found = {"match": [str(bundle.get("id"))]}
    else:
        found = _ids(bundle)
        total = bundle.get("total")
        if total is not None and "next" not in _links(bundle) and total != len(found["match"]):
            yield f"total {total} of {len(found['match'])} matches"
    for mode, wanted in (("match", matches.split()), ("include", included.split())):
        if sorted(found.get(mode, [])) != sorted(wanted):
            yield f"{mode}: {' '.join(sorted(found.get(mode, []))) or 'none'}, not {' '.join(sorted(wanted)) or 'none'}"


def _last(answer: Answer, rest: str) -> Told:
    """The same with no page behind it, whatever there is that may not be seen."""
    yield from _shows(answer, rest)
    if answer.resource is not None and "next" in _links(answer.resource):
        yield "says that there is a next page, on which nothing could be shown"


def _ids(bundle: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"match": [], "include": []}
    for entry in bundle.get("entry", ()):
        found[entry.get("search", {}).get("mode", "match")].append(str(entry.get("resource", {}).get("id")))
    return found


def _links(bundle: Mapping[str, Any]) -> set[str]:
    return {str(link["relation"]) for link in bundle.get("link", ())}


def _total(answer: Answer, rest: str) -> Told:
    yield from _status(answer, "200")
    if answer.resource is not None and answer.resource.get("total") != int(rest):
        yield f"total {answer.resource.get('total')}, not {rest}"


def _says(answer: Answer, rest: str) -> Told:
    if answer.status != OK:
        yield from _status(answer, "200")
        return
    text = answer.body.decode("utf-8", "replace")
    for word in rest.split(" | "):
        if word not in text:
            yield f"does not say `{word}`: {text[:300]}"


_EXPECTED: Mapping[str, Callable[[Answer, str], Told]] = {
    "refused": _refused,
    "absent": _absent,
    "empty": _empty,
    "nothing": _nothing,
    "shows": _shows,
    "last": _last,
    "total": _total,
    "says": _says,
    "ok": _well,
    "unchanged": _unchanged,
    "status": _status,
}
