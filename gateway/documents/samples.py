"""The sample submissions beside the rules, which the documents show as examples.

Layout of the folder: `rules/samples/DOMAIN/OUTCOME-NAME.SUFFIX`, see `rules/samples/README.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = "samples"
OUTCOMES: tuple[Literal["accepted", "refused"], ...] = ("accepted", "refused")
DATA_TYPES = {".hl7": "Hl7v2", ".json": "Fhir", ".csv": "Csv"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One submission that shows what a domain takes or refuses.

    Shape: `name` is the file's, without outcome and suffix (`a01-admission`); `text` the body as it is sent.
    """

    domain: str
    outcome: Literal["accepted", "refused"]
    name: str
    data_type: str
    text: str
    path: Path

    @property
    def key(self) -> str:
        """Name of the example in the document, unique in it."""
        return f"{self.domain}.{self.path.name}"

    @property
    def summary(self) -> str:
        """What a reader picks it by: domain, outcome, name."""
        return f"{self.domain}, {self.outcome}: {self.name.replace('-', ' ')}"


def read(rules: Path, domains: Iterable[str]) -> tuple[Sample, ...]:
    """Samples of the named domains, by domain and then by file name.

    Shape: `rules` is the rules folder. A file of another name is no sample; one whose bytes are no UTF-8 (a message
    in another character set) can't be shown in JSON and is left out.
    Errors: OSError for a file that can't be read.
    """
    found: list[Sample] = []
    for domain in sorted(domains):
        folder = rules / FOLDER / domain
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            sample = _sample(domain, path)
            if sample is not None:
                found.append(sample)
    return tuple(found)


def _sample(domain: str, path: Path) -> Sample | None:
    prefix, _, name = path.stem.partition("-")
    data_type = DATA_TYPES.get(path.suffix)
    outcome = next((known for known in OUTCOMES if known == prefix), None)
    if not name or data_type is None or outcome is None or not path.is_file():
        return None
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Sample(domain, outcome, name, data_type, text, path)
