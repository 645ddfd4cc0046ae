"""Whether a FHIR server takes Bundles whole: every entry, and of every entry all that was sent.

A server may say that it stored what it left out (HAPI drops unknown elements in silence), so that everything is read
back and compared. `python -m tests.conformance.taken_whole` sends every Bundle that is made of both corpora to the HAPI
server of the interop tests, and writes what came of it into `results.md`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway import fhir, loading, specs
from tests.conformance import agreement, corpus
from tests.conformance.guide_coverage import written
from tests.interop.hapi.launch import start_hapi
from tests.records import empty

TITLE = corpus.TAKEN_WHOLE
MARKS = ("profile", "security", "tag")
"""Elements of `meta` that are the sender's; `source` HAPI writes anew with the number of the request behind it."""

WHOLE = bool(os.environ.get("GATEWAY_WHOLE_CORPUS"))
SHARE = 1 if WHOLE else 12
"""The tests take one message in so many."""

_JSON = {"Content-Type": "application/fhir+json"}
_OK = 200
_SHOWN = 400

Refused = tuple[str, str]
"""A file's name, and what was not taken of it, with the server's words."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one folder. Shape: how many Bundles and resources were sent, and the Bundles not taken whole."""

    bundles: int
    resources: int
    refused: tuple[Refused, ...]


def bundles(shared: Path, loaded: loading.Decisions, folder: str, share: int = SHARE) -> Iterator[tuple[str, bytes]]:
    """The Bundles of a folder's messages, by the names of the files. Shape: of one message in a `share` of them."""
    names = {path.name for path in corpus.files(shared, folder)[::share]}
    for path, made in agreement.converted(shared, loaded, folder, names):
        if made.bundle is not None:
            yield path.name, made.bundle


def taken(server: httpx.Client, made: Iterable[tuple[str, bytes]]) -> Taken:
    """Send Bundles to a server at the base address of a client, and read back what it made of each."""
    bundles = resources = 0
    refused: list[Refused] = []
    for name, raw in made:
        bundles += 1
        entries = fhir.load(raw)["entry"]
        resources += len(entries)
        refused += ((name, words) for words in _not_taken(server, raw, [entry["resource"] for entry in entries]))
    return Taken(bundles, resources, tuple(refused))


def _not_taken(server: httpx.Client, raw: bytes, sent: Sequence[Mapping[str, Any]]) -> list[str]:
    reply = server.post("", content=raw, headers=_JSON)
    if reply.status_code != _OK:
        return [f"{reply.status_code} {' '.join(reply.text.split())[:_SHOWN]}"]
    states = [str(entry["response"]["status"]) for entry in reply.json().get("entry", ())]
    if len(states) != len(sent) or any(not state.startswith("20") for state in states):
        return [f"{len(sent)} entries, answered by {', '.join(states)}"]
    asked = fhir.batch([fhir.entry_get(f"{one['resourceType']}/{one['id']}") for one in sent])
    answer = server.post("", content=fhir.dump(asked), headers=_JSON)
    if answer.status_code != _OK:
        return [f"reading back: {answer.status_code} {' '.join(answer.text.split())[:_SHOWN]}"]
    stored = [entry.get("resource", {}) for entry in fhir.load(answer.content)["entry"]]
    return [words for one, held in zip(sent, stored, strict=True) for words in differences(one, held)]


def differences(sent: Any, stored: Any, place: str = "") -> list[str]:
    """Where what a server holds is not what was sent; what the server adds to an object of its own is none."""
    if isinstance(sent, Mapping) and isinstance(stored, Mapping):
        here = place or str(sent.get("resourceType", ""))
        return [
            words
            for name, value in sent.items()
            if name != "meta"
            for words in differences(value, stored.get(name), f"{here}.{name}")
        ] + _lost_marks(sent.get("meta", {}), stored.get("meta", {}), here)
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        each = enumerate(zip(sent, stored, strict=True))
        return [words for at, (one, held) in each for words in differences(one, held, f"{place}[{at}]")]
    # equal numbers are not the same: 72.50 tells more than 72.5
    same = sent == stored and str(sent) == str(stored)
    return [] if same else [f"{place} is {stored!r} there, sent was {sent!r}"]


def _lost_marks(sent: Mapping[str, Any], stored: Mapping[str, Any], place: str) -> list[str]:
    """Tags, labels and profiles that are not there any more; they are sets, which a server adds to."""
    return [
        f"{place}.meta.{name} lacks {one!r} there"
        for name in MARKS
        for one in sent.get(name, ())
        if one not in stored.get(name, ())
    ]


def section(found: Mapping[str, Taken]) -> str:
    """The figures as Markdown."""
    lines = [
        TITLE, "",
        "Written by `python -m tests.conformance.taken_whole`. Every Bundle that is made of the corpora's messages was",
        "sent as a transaction to a HAPI FHIR JPA server (R4) that held nothing, and every resource read back and",
        "compared with what was sent: taken whole is a Bundle of which nothing was refused, dropped or changed.",
        "",
        "| corpus | Bundles | resources | taken whole |", "|---|---|---|---|",
    ]  # fmt: skip
    for folder, each in found.items():
        whole = each.bundles - len({name for name, _ in each.refused})
        lines.append(f"| {folder} | {each.bundles} | {each.resources} | {whole} ({whole / each.bundles:.0%}) |")
    refused = [(folder, *one) for folder, each in found.items() for one in each.refused]
    if refused:
        lines += ["", "| corpus | message | what was not taken |", "|---|---|---|"]
        lines += [f"| {folder} | {name} | {words.replace('|', chr(92) + '|')} |" for folder, name, words in refused]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Send everything, print what came of it, write it into the results. Ends with 1 where a Bundle is not taken."""
    shared = Path(os.environ.get("GATEWAY_SHARED", corpus.ROOT.parent / "shared"))
    loaded = loading.decisions(corpus.ROOT / "rules", specs.ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        server = start_hapi(Path(scratch))
        try:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=300) as client:
                found = {}
                for folder in corpus.MESSAGES:
                    empty(server.url)
                    found[folder] = taken(client, bundles(shared, loaded, folder, share=1))
        finally:
            server.stop()
    part = section(found)
    corpus.RESULTS.write_text(written(corpus.RESULTS.read_text("utf-8"), part), "utf-8")
    print(part)  # noqa: T201 - the figures are what this command is for
    sys.exit(any(each.refused for each in found.values()))


if __name__ == "__main__":
    main()
