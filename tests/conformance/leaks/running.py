"""A run of the suite: the owner stores, the partner attacks, and each answer is judged.

`python -m tests.conformance.leaks` is its command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tests.conformance.leaks.canaries import Canaries, canaries
from tests.conformance.leaks.cases import Case, CasesError, PageOf, Suite, filled, seed
from tests.conformance.leaks.judging import leaks, unexpected, unlike
from tests.conformance.leaks.recording import Allowed, Call, allowed, forbidden
from tests.conformance.leaks.sending import FHIR_JSON, Request, Sender, ways

STORED = frozenset({200, 201, 204})
OWNER = "9ZZ01"
"""The organisation that the owner stores for."""


class Calls(Protocol):
    """What the gateway asked of its record."""

    def taken(self) -> Sequence[Call]:
        """Calls since the last time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a case must not have shown. Shape: `way` says how it was sent."""

    case: str
    way: str
    what: str

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.case} [{self.way}]\n    {self.what}"


@dataclass(slots=True)
class Tally:
    """How many requests were made of which kind. Shape: `left` are cases whose token nobody gave."""

    attacks: int = 0
    controls: int = 0
    requests: int = 0
    twins: int = 0
    calls: int = 0
    left: int = 0


@dataclass(slots=True)
class Run:
    """A suite against one gateway. Shape: `every_way` says that each search is sent in each way that there is."""

    sender: Sender
    suite: Suite
    words: Canaries
    table: Allowed
    calls: Calls | None
    tally: Tally
    every_way: bool = True

    def fill(self) -> None:
        """Store what the suite looks for, as its owner.

        Errors: CasesError where the gateway doesn't take it.
        """
        for resource in seed():
            name = resource.get("delete") or f"{resource['resourceType']}/{resource['id']}"
            headers = self.sender.headers("owner", (("Content-Type", FHIR_JSON), ("organisation-code", OWNER)))
            method, body = ("DELETE", None) if "delete" in resource else ("PUT", json.dumps(resource).encode())
            answer = self.sender.send(Request("owner", method, f"/{name}", headers, body))
            if answer.status not in STORED:
                raise CasesError(f"the owner's {method} {name} was answered {answer.line}: {answer.body[:500]!r}")

    def faults(self, chosen: Callable[[Case], bool] = lambda _: True) -> Iterator[Fault]:
        """Whatever is wrong, case by case. Errors: CasesError, httpx.HTTPError."""
        values = {"base": self.sender.base}
        values |= {f"token:{caller}": token for caller, token in self.sender.tokens.items()}
        values |= {f"page:{one.name}": self._token(one) for one in self.suite.pages}
        for case in filter(chosen, self.suite.cases):
            if not case.tokens <= self.sender.tokens.keys():
                self.tally.left += 1
                continue
            if case.attack:
                self.tally.attacks += 1
            else:
                self.tally.controls += 1
            yield from self._case(filled(case, values))

    def _case(self, case: Case) -> Iterator[Fault]:
        twin = replace(
            case, address=self.words.twin(case.address), body=case.body and self.words.twin(case.body),
            headers=tuple((name, self.words.twin(value)) for name, value in case.headers),
        )  # fmt: skip
        compared = twin != case and "exception" not in case.marks
        every = self.every_way
        both = zip(ways(self.sender, case, every=every), ways(self.sender, twin, every=every), strict=True)
        for request, other in both:
            self._taken()
            answer = self.sender.answer(request)
            self.tally.requests += 1
            told = [*leaks(case.text, answer, self.words), *unexpected(case.expected, answer)]
            told += forbidden(self._taken(), self.table, self.words, case.text, writes="writes" in case.marks)
            if compared:
                self.tally.twins += 1
                told += unlike(case.text, answer, self.sender.answer(other), self.words)
            yield from (Fault(case.name, request.way, what) for what in told)

    def _taken(self) -> Sequence[Call]:
        taken = [] if self.calls is None else self.calls.taken()
        self.tally.calls += len(taken)
        return taken

    def _token(self, page: PageOf) -> str:
        """The token of the page behind the first one of a search. Errors: CasesError where there is none."""
        headers = self.sender.headers(page.caller, ())
        answer = self.sender.send(Request("page", "GET", f"/{page.address}", headers))
        links = (answer.resource or {}).get("link", ())
        url = next((str(link["url"]) for link in links if link["relation"] == "next"), None)
        if url is None:
            raise CasesError(f"page {page.name}: {page.address} has no next page: {answer.line} {answer.body[:300]!r}")
        return url.partition("_page=")[2]


def run(sender: Sender, suite: Suite, calls: Calls | None = None) -> Run:
    """A run that has not begun."""
    return Run(sender, suite, canaries(), allowed(), calls, Tally())
