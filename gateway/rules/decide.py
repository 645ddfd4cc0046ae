"""Decisions: facts in, effect out, with the ids of the rules that decided.

Default deny, forbid overrides, order never matters. A rule that can't be decided is an error of its own: such a
permit grants nothing, such a forbid denies, such an error-level check refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.finding import Finding, refuses
from gateway.language.functions import ERRORS
from gateway.rules.around import NOTHING, Around, Seeking, Subjects, Want
from gateway.rules.compile import Checking, Forbidding, Granting
from gateway.rules.decision import Decision, Release, Resource, Routing, View
from gateway.rules.declared import Domain, Forbid, Registry
from gateway.rules.facts import Caller, Facts
from gateway.rules.noticing import Noticing, noticed
from gateway.rules.program import Judged, Program
from gateway.rules.queries import allows, names_of, unusable
from gateway.rules.registry import parts_of
from gateway.rules.release import (
    Querying,
    against,
    alike,
    hidden_parameters,
    hiding,
    holds,
    judges,
    released,
    rows_of,
    seeks,
    wants,
)
from gateway.rules.stored import Row
from gateway.rules.telling import UNDECIDED
from gateway.rules.wanting import Lacks, plain
from gateway.source import Source
from gateway.specs import SearchParameter
from gateway.tabular import Layout

Ids = tuple[str, ...]
_SEARCHING = frozenset({"search", "count"})
_NO_NAMES = frozenset[str]()
_DENIALS = 1024
"""So many answers of forbids are kept; most requests meet the same few."""


@dataclass(frozen=True, slots=True)
class Ingesting:
    """The rules of one domain for one kind of submission: the function that judges, and its permits.

    Shape: `forbids` are those of resource types, which any resource of a Fhir submission may trigger.
    """

    program: Program
    permits: tuple[Granting, ...]
    forbids: tuple[Forbidding, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """All rules, loaded and compiled; it never changes.

    Shape: `served` is the target that each granted resource type is served from; `places` where each rule stands,
    `file:line`; `layouts` those of CSV files that some domain accepts; `results` and `submitted` the checks
    `on result` and `on Fhir` by domain and resource type; `subjects` tells the patients of resources, by type;
    `noticing` are the routes of uses of broken glass; `cited` the agreements that rules cite.
    """

    digest: str
    registry: Registry
    domains: Mapping[str, Domain]
    served: Mapping[str, str]
    sources: tuple[Source, ...]
    places: Mapping[str, str]
    ingesting: Mapping[tuple[str | None, str | None, str | None], Ingesting]
    querying: Mapping[tuple[str, str], Querying]
    results: Mapping[tuple[str, str], tuple[Checking, ...]]
    submitted: Mapping[tuple[str, str], tuple[Checking, ...]]
    granting: Mapping[str, Granting]
    forbids: Mapping[str, Forbid]
    layouts: Mapping[str, Layout]
    subjects: Mapping[str, Subjects | None]
    noticing: tuple[Noticing, ...] = ()
    cited: Mapping[str, str] = field(default_factory=dict)
    _callers: dict[str, Caller] = field(default_factory=dict, init=False)
    _denials: dict[tuple[Ids, Ids], tuple[Ids, tuple[Finding, ...]]] = field(default_factory=dict, init=False)

    def caller(self, principal: str) -> Caller | None:
        """What the registry has of a principal; None if it isn't declared."""
        known = self._callers.get(principal)
        if known is None and (found := self._caller(principal)) is not None:
            known = self._callers[principal] = found
        return known

    def _caller(self, principal: str) -> Caller | None:
        found = self.registry.principals.get(principal)
        if found is None:
            return None
        own = frozenset(found.connects_as) | frozenset(found.sends_as)
        return Caller(
            found.name,
            parts_of(own, self.registry.organisations),
            frozenset(found.connects_as),
            frozenset(found.sends_as),
            {domain: frozenset(types) for domain, types in found.sends.items()},
            frozenset(found.roles),
            frozenset(found.may_assert),
            found.may_break_glass,
        )

    def decide(self, facts: Facts) -> Decision:
        """Judge a submission or a query.

        Shape: a submission's organisation, version and type are known and accepted before; what is not declared here
        is denied all the same.
        """
        if facts.action != "ingest":
            return self._query(facts)
        rules = self.ingesting.get((facts.domain, facts.data_type, facts.type))
        if rules is None:
            return self._lacking((), facts)
        try:
            denied, granted, erred, findings, routes = rules.program.judge(facts)
        except ERRORS:
            # the message itself can't be read: no rule can be trusted to have been asked
            every = tuple(p.permit.id for p in rules.permits)
            return Decision("deny", self.digest, erred=every, findings=(_undecided(None),))
        if facts.resources:
            denied, granted, erred, findings = self._of_resources(rules, facts, denied, granted, erred, findings)
        if granted and routes and not findings:
            # what Decision._make calls: nearly every message ends here
            return tuple.__new__(Decision, ("permit", self.digest, granted, erred, (), routes, (), (), False, False))
        return self._answer(rules, facts, (denied, granted, erred, findings, routes))

    def check_result(self, facts: Facts, resources: Sequence[Resource]) -> tuple[Finding, ...]:
        """What the domain's checks `on result` find in the resources that conversion made."""
        return tuple(
            finding
            for resource in resources
            for checking in self.results.get((facts.domain or "", str(resource.get("resourceType"))), ())
            for finding in _check(checking, facts, resource)
        )

    def check_submitted(
        self, facts: Facts, domain: str, resources: Iterable[tuple[str, Resource]]
    ) -> tuple[Finding, ...]:
        """What a domain's checks `on Fhir` find in resources that were sent.

        Shape: each resource with the place where it stands, which goes before the paths that are told.
        """
        return tuple(
            _at(place, finding)
            for place, resource in resources
            for checking in self.submitted.get((domain, str(resource.get("resourceType"))), ())
            for finding in _check(checking, facts, resource)
        )

    def serving(self, resource_type: str) -> tuple[str, ...]:
        """The domains that serve a type, by the target that holds it."""
        target = self.served.get(resource_type)
        return tuple(sorted(d.name for d in self.domains.values() if d.serves is not None and d.serves == target))

    def domain_of(self, permit: str) -> str:
        """The domain whose rule a permit is. Errors: LookupError."""
        return next(d.name for d in self.domains.values() if any(p.id == permit for p in d.permits))

    def parameters(self, facts: Facts) -> tuple[str, ...]:
        """Search parameters that some view of this caller takes for a type, in alphabetical order."""
        return tuple(sorted({name for p in self._granting(facts) for name in p.names[facts.type or ""]}))

    def sufficing(self, facts: Facts) -> tuple[str, ...] | None:
        """Parameters with which this caller may search a type, as few as there are; None where it may not."""
        granted = self._granting(facts)
        every = [group for p in granted for group in (p.asking.get(facts.type or "", ()) if p.asking else ((),))]
        return min(every, key=lambda group: (len(group), "_id" not in group), default=None)

    def _granting(self, facts: Facts) -> list[Granting]:
        rules = self.querying.get((facts.action, facts.type or ""))
        return [p for p in rules.permits if _grants(p, facts, [])] if rules is not None else []

    def granted(self, action: str, resource_type: str) -> bool:
        """Whether any permit lets anybody do this with a type."""
        rules = self.querying.get((action, resource_type))
        return rules is not None and bool(rules.permits)

    def hiding(self, facts: Facts, decision: Decision, parameter: SearchParameter) -> tuple[str, ...]:
        """Rules that hide from this caller what a search parameter reads, in every resource of the type."""
        rules = self.querying.get((facts.action, facts.type or ""))
        return () if rules is None else hiding(rules, decision.views, facts, parameter)

    def alike(self, facts: Facts, decision: Decision) -> frozenset[str] | None:
        """Element paths that go from each resource of the type asked for; None where they are judged one by one."""
        rules = self.querying.get((facts.action, facts.type or ""))
        return None if rules is None else alike(rules, decision.views, facts)

    def wants(self, facts: Facts, decision: Decision, resources: Iterable[Resource]) -> frozenset[Want]:
        """What the rules read beside resources that came back: to be fetched before `release` is asked."""
        by_type: dict[str, list[Row]] = {}
        for resource in resources:
            name = str(resource.get("resourceType"))
            by_type.setdefault(name, []).append(Row(resource, NOTHING, self.subjects.get(name)))
        found: set[Want] = set()
        for name, rows in by_type.items():
            rules = self.querying.get((facts.action, name))
            if rules is not None:
                found.update(wants(rules, decision.views, facts, rows))
            if facts.glass and any(rule.reads_patients() and rule.may(facts) for rule in self.noticing):
                found.update(want for row in rows for want in row.wants_patients())
        return frozenset(found)

    def seeks(
        self, facts: Facts, decision: Decision, resources: Iterable[Resource], around: Around
    ) -> tuple[Seeking, ...]:
        """What of `wants` is looked for among all that refers to something. Shape: `around` is asked as it is then."""
        rows = (Row(one, around, self.subjects.get(str(one.get("resourceType")))) for one in resources)
        return tuple(seeks(decision.views, facts, rows))

    def notices(self, facts: Facts, resources: Iterable[Resource], around: Around = NOTHING) -> tuple[Routing, ...]:
        """Where a request is told, if it breaks glass: each target once.

        Shape: `resources` are what was shown or written; `around` is what was found of `wants`.
        """
        if not facts.glass or not self.noticing:
            return ()
        rows = [Row(one, around, self.subjects.get(str(one.get("resourceType")))) for one in resources]
        return noticed(self.noticing, facts, rows)

    def release(self, facts: Facts, decision: Decision, resource: Resource, around: Around = NOTHING) -> Release:
        """Whether a resource that came back may go to the caller, and what of it is hidden.

        Shape: any resource may be asked about, an included one too; one that no view of the decision shows is not
        released. `around` is what was found of `wants`; a rule that reads what is not there errs.
        """
        name = str(resource.get("resourceType"))
        rules = self.querying.get((facts.action, name))
        if rules is None or decision.effect != "permit":
            return Release(released=False)
        return released(rules, decision.views, facts, Row(resource, around, self.subjects.get(name)))

    # --- submissions -----------------------------------------------------------------------------------------------

    def _answer(self, rules: Ingesting, facts: Facts, judged: Judged) -> Decision:
        """What was judged as a decision, where something denies, refuses or is told."""
        denied, granted, erred, findings, routes = judged
        if not granted:
            if denied or (erred and not self._only_permits(erred)):
                return self._forbidden(denied, erred)
            return self._lacking(rules.permits, facts, erred)
        if refuses(findings):
            refusing = dict.fromkeys(f.rule for f in findings if f.rule is not None and f.severity == "error")
            return Decision("refuse", self.digest, tuple(refusing), erred, findings)
        if not routes:
            gap = Finding("error", "business-rule", "no route of the domain takes this message")
            return Decision("refuse", self.digest, (), erred, (*findings, gap))
        return Decision("permit", self.digest, granted, erred, findings, routes)

    def _of_resources(
        self, rules: Ingesting, facts: Facts, denied: Ids, granted: Ids, erred: Ids, findings: tuple[Finding, ...]
    ) -> tuple[Ids, Ids, Ids, tuple[Finding, ...]]:
        """The same with what the rules on resource types say of each resource of a Fhir submission."""
        hit: list[str] = []
        failed: list[str] = []
        for one in rules.forbids:
            sent = (resource for name in one.forbid.on.types for _, resource in facts.resources.get(name, ()))
            if any(against(one, facts, Row(resource, NOTHING, None), failed) for resource in sent):
                hit.append(one.forbid.id)
        if hit or failed:
            return (*denied, *hit), (), (*erred, *failed), ()
        if not granted:
            return denied, granted, erred, findings
        every = [each for sent in facts.resources.values() for each in sent]
        return denied, granted, erred, (*findings, *self.check_submitted(facts, facts.domain or "", every))

    def _lacking(self, permits: Sequence[Granting], facts: Facts, erred: Ids = ()) -> Decision:
        """The default deny, with what the caller lacks of these permits."""
        lacks = Lacks(permits, facts)
        # what Decision._make calls: most that is denied ends here
        return tuple.__new__(Decision, ("deny", self.digest, (), erred, (), (), (), lacks, False, False))

    def _only_permits(self, erred: Iterable[str]) -> bool:
        return all(rule in self.granting for rule in erred)

    def _forbidden(self, denied: Ids, erred: Ids) -> Decision:
        told = self._denials.get((denied, erred))
        if told is None:
            findings = [_denial(rule, self.forbids[rule].title) for rule in denied]
            findings += [_undecided(rule) for rule in erred]
            told = (*denied, *erred), tuple(findings)
            if len(self._denials) < _DENIALS:
                self._denials[denied, erred] = told
        by, found = told
        return tuple.__new__(Decision, ("deny", self.digest, by, erred, found, (), (), (), False, False))

    # --- queries ---------------------------------------------------------------------------------------------------

    def _query(self, facts: Facts) -> Decision:
        rules = self.querying.get((facts.action, facts.type or ""))
        if rules is None or not rules.permits:
            return self._lacking((), facts)
        searching = facts.action in _SEARCHING
        names = names_of(facts.query) if searching and facts.query is not None else _NO_NAMES
        if names and not names <= rules.usable:
            return Decision("deny", self.digest, wanting=unusable(facts, names, rules.usable), unusable=True)
        denied, granted, erred, _, _ = rules.program.judge(facts)
        if denied or (erred and not granted and not self._only_permits(erred)):
            return self._forbidden(denied, erred)
        if rules.masks and names:
            masked = [_masked(name, rule) for name, rule in hidden_parameters(rules, facts, names)]
            if masked:
                by = tuple(dict.fromkeys(finding.rule or "" for finding in masked))
                return Decision("deny", self.digest, by, findings=tuple(masked))
        if searching:
            granted = tuple([rule for rule in granted if allows(self.granting[rule], facts, names)])
        if not granted:
            return self._lacking(rules.permits, facts, erred)
        judged = bool((rules.each or rules.masks) and judges(rules, facts, names))
        shown: list[View] = []
        for rule in granted:
            view = rules.views.get(rule) or _view(self.granting[rule], facts)
            shown.append(view)
            judged = judged or view.rows is not None
        # what Decision._make calls
        return tuple.__new__(Decision, ("permit", self.digest, granted, erred, (), (), tuple(shown), (), False, judged))


def _at(place: str, finding: Finding) -> Finding:
    """The finding with the place of its resource before the path below it."""
    if finding.expression is None:
        return replace(finding, expression=place)
    _, dot, below = finding.expression.partition(".")
    return replace(finding, expression=f"{place}{dot}{below}")


def _grants(granting: Granting, facts: Facts, erred: list[str]) -> bool:
    rule = granting.permit.id
    return holds(granting.gate.open, rule, erred, facts) and holds(granting.when, rule, erred, facts)


def _check(checking: Checking, facts: Facts, resource: Resource) -> Iterable[Finding]:
    """What a check `on result` finds; one of error level that can't be decided refuses."""
    check = checking.check
    try:
        if checking.when is not None and not checking.when(facts, resource):
            return
        if checking.tell.departures is not None:
            yield from checking.tell.departures(facts, resource)
        elif not checking.require(facts, resource):
            yield checking.tell.whole(facts, resource)
    except ERRORS:
        if check.severity == "error":
            yield Finding(check.severity, check.code, UNDECIDED, checking.tell.field, check.id)


def _masked(name: str, rule: str) -> Finding:
    return Finding("error", "forbidden", f"{name} searches what is hidden from you", name, rule)


def _denial(rule: str, title: str) -> Finding:
    return Finding("error", "forbidden", plain(title), None, rule)


def _undecided(rule: str | None) -> Finding:
    return Finding("error", "forbidden", UNDECIDED, None, rule)


def _view(granting: Granting, facts: Facts) -> View:
    permit = granting.permit
    narrow = tuple((name, values(facts)) for name, values in granting.narrow.get(facts.type or "", ()))
    return View(permit.id, permit.types, granting.hide, narrow, rows_of(granting))
