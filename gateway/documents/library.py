"""The documents of one rule set, for everybody and for each caller: made when first asked for, then kept.

They change with the rules alone, and with the day where agreements begin and end.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cached_property

from gateway import fhir
from gateway.documents.capability import statement
from gateway.documents.examples import Example, examples, of_offer
from gateway.documents.offer import Offer, Published
from gateway.documents.offering import offered
from gateway.documents.openapi import document, written
from gateway.documents.rules_page import rules_page
from gateway.documents.samples import Sample
from gateway.documents.share import Viewer, share_of
from gateway.rules import RuleSet
from gateway.rules.trial.declared import Trial
from gateway.specs import FhirTables

CAPACITY = 64
"""Most callers' documents that are kept."""


class Library:
    """Gives the documents as bytes; may be asked from several threads."""

    def __init__(
        self,
        rules: RuleSet,
        published: Published,
        tables: FhirTables,
        *,
        samples: Iterable[Sample] = (),
        trials: Iterable[Trial] = (),
        date: str,
    ) -> None:
        """Make nothing yet. Shape: `date` is a FHIR date: when the rules were loaded."""
        self._rules = rules
        self._published = published
        self._tables = tables
        self._samples = tuple(samples)
        self._trials = tuple(trials)
        self._date = date
        self._kept: OrderedDict[tuple[str, Viewer], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def openapi(self, viewer: Viewer | None = None) -> bytes:
        """The OpenAPI document: of everything, or of what one caller may do."""
        return self._openapi if viewer is None else self._own("openapi", viewer, self._openapi_of)

    def capability(self, viewer: Viewer | None = None) -> bytes:
        """The CapabilityStatement: of everything, or of what one caller may do."""
        return self._capability if viewer is None else self._own("capability", viewer, self._capability_of)

    @cached_property
    def rules_page(self) -> bytes:
        """The rules as a page."""
        return rules_page(self._rules, self._trials, date=self._date).encode()

    @cached_property
    def _examples(self) -> tuple[Example, ...]:
        return examples(self._rules, self._published, self._samples, fhir.Elements(self._tables))

    @cached_property
    def _whole(self) -> Offer:
        return offered(self._rules, self._tables)

    @cached_property
    def _openapi(self) -> bytes:
        return self._openapi_of(self._whole)

    @cached_property
    def _capability(self) -> bytes:
        return self._capability_of(self._whole)

    def _own(self, name: str, viewer: Viewer, make: Callable[[Offer], bytes]) -> bytes:
        with self._lock:
            found = self._kept.get((name, viewer))
            if found is not None:
                self._kept.move_to_end((name, viewer))
                return found
        made = make(offered(self._rules, self._tables, share_of(self._rules, viewer)))
        with self._lock:
            self._kept[name, viewer] = made
            if len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
        return made

    def _openapi_of(self, offer: Offer) -> bytes:
        shown = of_offer(self._examples, self._whole, offer)
        return written(document(offer, self._published, self._tables, shown))

    def _capability_of(self, offer: Offer) -> bytes:
        return fhir.dump(statement(offer, self._published, date=self._date))
