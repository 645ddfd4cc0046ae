"""What must not leave: the words and ids of what the partner may not see, and how they might leave all the same.

Each has a decoy of the same length that nothing stored has: a request that names what is hidden must be answered as one
that names the decoy.
"""

from __future__ import annotations

import base64
import binascii
import csv
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus

from tests.conformance.leaks.cases import FOLDER, seed

_WORD = re.compile(r"(?:[Hh]id|HID)[A-Za-z0-9]*(?:-[A-Za-z0-9]+)*")
_HALF_SEEN = re.compile(r"ref(?=-(?:doc|obs|rel)-\d)")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2}){6,}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SHORT = len("hid")
_DECOYS = (("hid", "not"), ("Hid", "Not"), ("HID", "NOT"), ("%68id", "%6eot"), ("%2568id", "%256eot"))


@dataclass(frozen=True, slots=True)
class Canaries:
    """Every word that must not leave, in lower case, and what stands in its place in a twin."""

    words: frozenset[str]
    decoys: tuple[tuple[str, str], ...]

    def told(self, texts: Iterable[str | bytes], *, asked: str = "") -> list[str]:
        """Words that stand in some text in any form and that the request didn't bring itself."""
        brought = _forms(asked)
        found: set[str] = set()
        for text in texts:
            there = _forms(text)
            found |= {word for word in self.words if word in there and word not in brought}
        return sorted(found)

    def twin(self, text: str) -> str:
        """The same text about what there isn't."""
        for word, decoy in self.decoys:
            text = text.replace(word, decoy)
        return _HALF_SEEN.sub("rex", text)

    def back(self, asked: str, text: str) -> str:
        """An answer to the twin of what was asked, as if it spoke of what was asked."""
        said = f"{asked}\n{unquote_plus(asked)}\n{unquote_plus(unquote_plus(asked))}"
        words = {*_WORD.findall(said), *re.findall(r"%68id-[a-z]+-\d+|ref-(?:doc|obs|rel)-\d+", said)}
        words |= {word for word, _ in self.decoys if word in said}
        for word in sorted((word for word in words if len(word) > _SHORT), key=len, reverse=True):
            text = text.replace(self.twin(word), word)
        return text


def canaries(folder: Path = FOLDER) -> Canaries:
    """Words of what is stored that begin with `hid`, and the values of `canaries.csv`."""
    text = json.dumps(seed(folder), ensure_ascii=False)
    with (folder / "canaries.csv").open(encoding="utf-8", newline="") as file:
        others = [(row["value"], row["decoy"]) for row in csv.DictReader(file)]
    words = {word.lower() for word in _WORD.findall(text)} | {value.lower() for value, _ in others}
    return Canaries(frozenset(words), (*others, *_DECOYS))


def _forms(text: str | bytes) -> str:
    """A text beside what it is when escapes and encodings are taken away, in lower case."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    forms = [plain]
    for _ in range(2):
        last = forms[-1]
        forms.append(html.unescape(unquote_plus(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), last))))
    forms += [_decoded(run) for run in _ENCODED.findall(plain)]
    forms += [binascii.unhexlify(run).decode("latin-1") for run in _HEXADECIMAL.findall(plain)]
    return "\n".join(forms).lower()


def _decoded(run: str) -> str:
    """What a run of letters says if it is Base64, read from each of its four places in a longer text."""
    letters = run.rstrip("=").replace("-", "+").replace("_", "/")
    found = []
    for start in range(4):
        part = letters[start:]
        part = part[: len(part) - (1 if len(part) % 4 == 1 else 0)]
        found.append(base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1"))
    return "\n".join(found)
