"""Every file of the shared corpus through a running gateway: `make corpus` writes `results.md` beside this.

The domain is made for the test: it accepts every message type that there is a map for, any version and any resource
type of the corpus, and the same control id again, since most of the messages share a few.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway import fhir, hl7v2, loading, specs
from gateway.hl7v2 import dictionary
from tests.conformance import agreement
from tests.conformance.guide_coverage import coverage, part, section, written
from tests.running import Running, acknowledged, issues, running

ROOT = Path(__file__).resolve().parents[2]
TAKEN_WHOLE = "## Taken whole by HAPI FHIR"
"""What `python -m tests.conformance.taken_whole` writes, which stays until it is run again."""

RESULTS = Path(__file__).parent / "results.md"
MESSAGES, RESOURCES = ("microsoft", "reportstream"), ("r4-examples", "uk-core")
TAKEN = frozenset({"AA", "CA"})
DOMAIN, ORGANISATION, OTHER = "corpus", "r0d", "no type"
CLIENT_ERROR, SERVER_ERROR = 400, 500
SHOWN = 160
_NAMES = re.compile(r"\S+/\S+(?= is no entry)")

RULES = """language 1

domain corpus "Whatever the corpus holds"
  owner "Tests"
  contact "tests@example.org"
  acknowledge http-status
  same control id accept

accept Hl7v2 {types}
  versions {low} to {high}
accept Fhir {resources}

permit CO-P1 "The test sends everything"
  to ingest
  when caller connects as organisation
  because "A test of the program, with nobody's data"

route CO-R1 "Everything goes to the record"
  on Hl7v2, Fhir
  to record
  on failure reject
"""
REGISTRY = """language 1

organisation r0d "A sender of the test"
role data-provider "Sends"
target record "The record" takes Fhir

principal demo-engine "The test"
  connects as r0d
  sends as r0d
  sends category corpus {types}
  roles data-provider
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One file and its answer. Shape: `why` are the first issue's code and words, empty where it was taken."""

    folder: str
    file: str
    type: str
    status: int
    taken: bool
    why: str


def files(shared: Path, folder: str) -> list[Path]:
    """Submissions of one folder of the corpus; what converters made of messages is none."""
    pattern = "*.hl7" if folder in MESSAGES else "*.json"
    return sorted((shared / "corpus" / folder).glob(pattern))


def rules(folder: Path, shared: Path, converted: Iterable[str]) -> loading.Decisions:
    """The test's own rule set, written into a folder and loaded."""
    found = (fhir.load(path.read_bytes()) for name in RESOURCES for path in files(shared, name))
    resources = ", ".join(sorted({str(resource["resourceType"]) for resource in found}))
    versions, types = dictionary.versions(specs.ROOT), ", ".join(sorted(converted))
    folder.mkdir(parents=True)
    text = RULES.format(types=types, resources=resources, low=versions[0], high=versions[-1])
    (folder / "corpus.rules").write_text(text, "utf-8")
    (folder / "registry.rules").write_text(REGISTRY.format(types=types), "utf-8")
    return loading.decisions(folder, specs.ROOT)


def answered(
    gateway: Running, shared: Path, folders: Sequence[str] = (*MESSAGES, *RESOURCES),
    chosen: Callable[[Iterable[Path]], Iterable[Path]] = list,
) -> Iterator[Answered]:  # fmt: skip
    """The answer to every file, each sent once. Shape: `chosen` picks those of a folder."""
    for folder in folders:
        for path in chosen(files(shared, folder)):
            raw = path.read_bytes()
            if folder in MESSAGES:
                yield _message(gateway, folder, path.name, raw)
            else:
                yield _resource(gateway, folder, path.name, raw)


def _message(gateway: Running, folder: str, name: str, raw: bytes) -> Answered:
    reply = gateway.send(raw, source_domain=DOMAIN, organisation_code=ORGANISATION)
    taken = reply.status_code < SERVER_ERROR and acknowledged(reply).code in TAKEN
    kind = hl7v2.read(raw).type or OTHER
    return Answered(folder, name, kind, reply.status_code, taken, "" if taken else _first(issues(reply)))


def _resource(gateway: Running, folder: str, name: str, raw: bytes) -> Answered:
    reply = gateway.send(
        raw,
        source_domain=DOMAIN,
        organisation_code=ORGANISATION,
        data_type="Fhir",
        Content_Type="application/fhir+json",
    )
    kind = str(fhir.load(raw)["resourceType"])
    taken = reply.status_code < CLIENT_ERROR
    return Answered(folder, name, kind, reply.status_code, taken, "" if taken else _first(issues(reply)))


def _first(found: Sequence[dict[str, object]]) -> str:
    """The first issue that refuses, as its code and words, without what is the file's own."""
    wrong = next((issue for issue in found if issue["severity"] in {"error", "fatal"}), found[0])
    words = _NAMES.sub("...", str(wrong.get("diagnostics", "")).partition("; it accepts")[0])
    return f"{wrong['code']}: {words}"[:SHOWN]


_K = TypeVar("_K")


def _by(found: Iterable[Answered], key: Callable[[Answered], _K]) -> dict[_K, list[Answered]]:
    groups: dict[_K, list[Answered]] = defaultdict(list)
    for one in found:
        groups[key(one)].append(one)
    return groups


def report(found: Sequence[Answered], agreed: Mapping[str, agreement.Agreement], mapped: Collection[str]) -> str:
    """The results as Markdown."""
    lines = [
        "# The shared corpus through the gateway", "",
        "Written by `make corpus`. Every file was sent to a running gateway, in a domain that accepts each message",
        "type with a map, every version and every resource type of the corpus, which is not part of this repository.",
        "Resources go one by one, so most refer to patients that were not sent; half of UK Core's have lost the",
        "`url` of extensions.",
        "",
        "| corpus | files | server errors | taken | of types with a map |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for folder, every in _by(found, lambda one: one.folder).items():
        taken = sum(one.taken for one in every)
        errors = sum(one.status >= SERVER_ERROR for one in every)
        known = [one for one in every if one.type in mapped]
        share = f"{sum(one.taken for one in known)} of {len(known)}" if known else ""
        lines.append(f"| {folder} | {len(every)} | {errors} | {taken} ({taken / len(every):.0%}) | {share} |")
    lines += ["", *agreement.report(agreed)]
    lines += ["## By type", "", "| corpus | type | files | taken | of the others, why most were refused |",
              "|---|---|---|---|---|"]  # fmt: skip
    for (folder, kind), every in sorted(_by(found, lambda one: (one.folder, one.type)).items()):
        taken = sum(one.taken for one in every)
        why = Counter(one.why for one in every if not one.taken).most_common(1)
        words = why[0][0].replace("|", "\\|") if why else ""
        lines.append(f"| {folder} | {kind} | {len(every)} | {taken} ({taken / len(every):.0%}) | {words} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Send the corpus, print what came of it, write the results."""
    shared = Path(os.environ.get("GATEWAY_SHARED", ROOT.parent / "shared"))
    shipped = loading.decisions(ROOT / "rules", specs.ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        loaded = rules(Path(scratch) / "rules", shared, shipped.maps.messages)
        with running(Path(scratch) / "data", loaded, rules=Path(scratch) / "rules", targets={}) as gateway:
            found = list(answered(gateway, shared))
    agreed = {folder: agreement.measured(shared, shipped, folder) for folder in MESSAGES}
    text = written(report(found, agreed, shipped.maps.messages), section(coverage(shared)))
    text = written(text, kept) if (kept := part(RESULTS.read_text("utf-8"), TAKEN_WHOLE)) else text
    RESULTS.write_text(text, "utf-8")
    print(text)  # noqa: T201 - the figures are what this command is for
    if any(one.status >= SERVER_ERROR for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
