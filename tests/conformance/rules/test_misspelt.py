"""A name misspelt by one letter, anywhere in a shipped rule file, is refused where it stands, with the right one named.

Every word of the files is misspelt once: keywords, paths, codes, names. What a statement, a loop or a test calls itself
is no misspelling of anything; where another place speaks of it, that place is refused.

A sample runs by default; `GATEWAY_MISSPELT=all` misspells them all.
"""

from __future__ import annotations

import functools
import os
import random
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from gateway.rules import load_sources, parse
from gateway.source import Diagnostic, Source
from tests.conformance.rules.support import ROOT, vocabulary

SAMPLE = 150
LEAST = 0.99
WORD = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\["\\])*"|(?P<word>[A-Za-z0-9_][A-Za-z0-9_.^-]*)')
UNNAMED = {"language", "accept", "test"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Misspelling:
    """One word of a file, misspelt.

    Shape: `files` are those that are loaded together, the word's own among them; `declares` where the word is what
    something is called.
    """

    source: Source
    files: tuple[Source, ...]
    start: int
    right: str
    wrong: str
    declares: bool

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def misspelt(self) -> Source:
        text = self.source.text
        return Source(self.source.name, text[: self.start] + self.wrong + text[self.start + len(self.right) :])

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}: `{self.right}` as `{self.wrong}`"


@functools.cache
def shipped() -> tuple[tuple[Source, ...], ...]:
    """Every rule set that is shipped: the gateway's own, and each example."""
    folders = (ROOT / "rules", *sorted(path for path in (ROOT / "rules" / "examples").iterdir() if path.is_dir()))
    return tuple(
        tuple(Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in sorted(each))
        for each in (folder.glob("*.rules") for folder in folders)
    )


@functools.cache
def parsed(source: Source) -> parse.Parsed:
    return parse.read(source)


def words(source: Source) -> Iterator[tuple[int, str, bool]]:
    """Where each word stands, the word, and whether something is called so here."""
    for span in parse.cut(source):
        found = [(span.start + m.start("word"), m["word"].rstrip(".-")) for m in WORD.finditer(span.text) if m["word"]]
        texts = [text for _, text in found]
        for i, (start, text) in enumerate(found):
            named = i == 1 and texts[0] not in UNNAMED
            looped = i > 0 and texts[i - 1] in {"each", "any", "every"} and texts[i + 1 : i + 2] == ["in"]
            if looped and not any(re.match(rf"{text}(\.|\Z)", other) for other in texts[i + 1 :]):
                continue  # it is only counted
            yield start, text, named or looped


def misspell(word: str, known: frozenset[str], chance: random.Random) -> str | None:
    """The word with one letter changed, left out, doubled or swapped with the next; no other word of the files."""
    places = [i for i, letter in enumerate(word) if letter.isalpha()]
    for _ in range(20 if places else 0):
        at = chance.choice(places)
        head, letter, tail = word[:at], word[at], word[at + 1 :]
        other = chance.choice(string.ascii_lowercase)
        swapped = tail[:1] + letter + tail[1:] if tail[:1].isalpha() else letter * 2 + tail
        wrong = head + chance.choice(
            [(other.upper() if letter.isupper() else other) + tail, tail, letter * 2 + tail, swapped]
        )
        if wrong and wrong.casefold() not in known:
            return wrong
    return None


@functools.cache
def misspellings() -> tuple[Misspelling, ...]:
    return tuple(one for files in shipped() for one in misspellings_of(files))


def misspellings_of(files: tuple[Source, ...]) -> Iterator[Misspelling]:
    """Every word of one rule set, misspelt."""
    every = [(source, *found) for source in files for found in words(source)]
    known = frozenset(word.casefold() for _, _, word, _ in every)
    spoken_of = Counter(word for _, _, word, _ in every)
    for source, start, word, called in every:
        if called and spoken_of[word] == 1:
            continue  # nothing speaks of it, so it may be called as it likes
        wrong = misspell(word, known, random.Random(f"{source.name} {start}"))  # noqa: S311 - the same every time
        if wrong is not None:
            yield Misspelling(source, files, start, word, wrong, called)


def said(one: Misspelling) -> Sequence[Diagnostic]:
    """What is said of the files with one word misspelt."""
    texts = [one.misspelt if source is one.source else source for source in one.files]

    def read(file: str) -> bytes:
        return (ROOT / file).read_bytes()

    def keep(name: str, sources: Sequence[Source], make: Callable[[], T]) -> T:  # noqa: ARG001 - Keep's shape
        return cast("T", [(s, parsed(s) if s in one.files else parse.read(s)) for s in sources])

    return load_sources(texts, vocabulary(), keep=keep, read=read).diagnostics


def judged(one: Misspelling) -> str | None:
    """What is wrong with what is said; None where it is right."""
    errors = [d for d in said(one) if d.severity == "error"]
    if not errors:
        return "not refused"
    if one.declares:
        # the place that speaks of it by its right name is the one that can't be right
        return None if any(one.right in d.span.text for d in errors) else "not refused where it is used"
    placed = [d for d in errors if d.span.source.name == one.source.name and d.span.line == one.line]
    if not placed:
        return f"refused elsewhere: {errors[0].span}: {errors[0].message} = {errors[0].help}"
    suggested = [words for d in placed for words in re.findall("`([^`]+)`", d.help or "")]
    if any(re.search(rf"(?<![\w^-]){re.escape(one.right)}(?![\w^-])", words) for words in suggested):
        return None
    return f"not suggested: {placed[0].code} {placed[0].message} = {placed[0].help}"


def chosen() -> Sequence[Misspelling]:
    every = misspellings()
    if os.environ.get("GATEWAY_MISSPELT") == "all":
        return every
    return random.Random(SAMPLE).sample(every, SAMPLE)  # noqa: S311 - the same every time


def test_a_name_misspelt_by_one_letter_is_refused_on_its_line_with_the_right_one() -> None:
    found = {one: judged(one) for one in chosen()}
    wrong = [f"{one}: {why}" for one, why in found.items() if why is not None]
    assert len(wrong) <= (1 - LEAST) * len(found), "\n".join(wrong)
