"""Decisions: facts in, effect out, with the ids of the rules that decided.

Default deny, forbid overrides, order never matters. A rule that can't be decided is an error of its own: such a
permit grants nothing, such a forbid denies, such an error-level check refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.finding import Finding, refuses
from gateway.language.functions import ERRORS
from gateway.rules.compile import Checking, Forbidding, Granting
from gateway.rules.decision import Decision, Release, Resource, View
from gateway.rules.declared import Domain, Forbid, Registry
from gateway.rules.facts import Caller, Facts
from gateway.rules.program import Judged
from gateway.rules.queries import allows, names_of, unusable
from gateway.rules.registry import parts_of
from gateway.rules.telling import UNDECIDED
from gateway.rules.wanting import nearest_lacks, plain
from gateway.source import Source
from gateway.tabular import Layout

Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ingesting:
    """The rules of one domain for one kind of submission: the function that judges, and its permits.

    Shape: `forbids` are those of resource types, which any resource of a Fhir submission may trigger.
    """

    judge: Callable[[Facts], Judged]
    permits: tuple[Granting, ...]
    forbids: tuple[Forbidding, ...] = ()


@dataclass(frozen=True, slots=True)
class Querying:
    """The rules of all domains for one action on one resource type.

    Shape: `usable` are the parameters that some permit lets someone use.
    """

    permits: tuple[Granting, ...]
    usable: frozenset[str]
    forbids: tuple[Forbidding, ...]
    each: tuple[Forbidding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """All rules, loaded and compiled; it never changes.

    Shape: `served` is the target that each granted resource type is served from; `places` where each rule stands,
    `file:line`; `layouts` those of CSV files that some domain accepts; `results` and `submitted` the checks
    `on result` and `on Fhir` by domain and resource type.
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

    def caller(self, principal: str) -> Caller | None:
        """What the registry has of a principal; None if it isn't declared."""
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
            return Decision("deny", self.digest, wanting=(_nobody(facts),))
        try:
            denied, granted, erred, findings, routes = rules.judge(facts)
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
        rules = self.querying.get((facts.action, facts.type or ""))
        granted = [p for p in rules.permits if _grants(p, facts, [])] if rules is not None else []
        return tuple(sorted({name for p in granted for name in p.names[facts.type or ""]}))

    def release(self, facts: Facts, decision: Decision, resource: Resource) -> Release:
        """Whether a resource that came back may go to the caller, and what of it is hidden.

        Shape: any resource may be asked about, an included one too; one that no view of the decision shows is not
        released.
        """
        name = str(resource.get("resourceType"))
        erred: list[str] = []
        rules = self.querying.get((facts.action, name))
        if rules is None or decision.effect != "permit":
            return Release(released=False)
        against = [f.forbid.id for f in rules.each if _holds(f.each, f.forbid.id, erred, facts, resource)]
        if against or erred:
            return Release(released=False, by=(*against, *erred), erred=tuple(erred))
        showing = [view for view in decision.views if name in view.types and self._shows(view, facts, resource, erred)]
        hide = _hidden([{p for p in view.hide if p.partition(".")[0] == name} for view in showing])
        return Release(bool(showing), hide, tuple(view.permit for view in showing), tuple(erred))

    def _shows(self, view: View, facts: Facts, resource: Resource, erred: list[str]) -> bool:
        return view.rows is None or _holds(view.rows, view.permit, erred, facts, resource)

    # --- submissions -----------------------------------------------------------------------------------------------

    def _answer(self, rules: Ingesting, facts: Facts, judged: Judged) -> Decision:
        """What was judged as a decision, where something denies, refuses or is told."""
        denied, granted, erred, findings, routes = judged
        if not granted:
            if denied or (erred and not self._only_permits(erred)):
                return self._forbidden(denied, erred)
            wanting = nearest_lacks(rules.permits, facts)
            return Decision("deny", self.digest, erred=erred, wanting=wanting or (_nobody(facts),))
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
        against: list[str] = []
        failed: list[str] = []
        for one in rules.forbids:
            sent = (resource for name in one.forbid.on.types for _, resource in facts.resources.get(name, ()))
            if any(_against(one, facts, resource, failed) for resource in sent):
                against.append(one.forbid.id)
        if against or failed:
            return (*denied, *against), (), (*erred, *failed), ()
        if not granted:
            return denied, granted, erred, findings
        every = [each for sent in facts.resources.values() for each in sent]
        return denied, granted, erred, (*findings, *self.check_submitted(facts, facts.domain or "", every))

    def _only_permits(self, erred: Iterable[str]) -> bool:
        return all(rule in self.granting for rule in erred)

    def _forbidden(self, denied: Iterable[str], erred: Sequence[str]) -> Decision:
        findings = [Finding("error", "forbidden", plain(self.forbids[rule].title), None, rule) for rule in denied]
        findings += [_undecided(rule) for rule in erred]
        by = tuple(f.rule for f in findings if f.rule is not None)
        return Decision("deny", self.digest, by, tuple(erred), tuple(findings))

    # --- queries ---------------------------------------------------------------------------------------------------

    def _query(self, facts: Facts) -> Decision:
        rules = self.querying.get((facts.action, facts.type or ""))
        if rules is None or not rules.permits:
            return Decision("deny", self.digest, wanting=(_nobody(facts),))
        searching = facts.action in {"search", "count"}
        names = names_of(facts.query) if searching and facts.query is not None else frozenset()
        if not names <= rules.usable:
            return Decision("deny", self.digest, wanting=unusable(facts, names, rules.usable), unusable=True)
        erred: list[str] = []
        denied = [f.forbid.id for f in rules.forbids if _holds(f.when, f.forbid.id, erred, facts)]
        if denied or erred:
            return self._forbidden(denied, erred)
        granted = [p for p in rules.permits if _grants(p, facts, erred)]
        views = [p for p in granted if not searching or allows(p, facts, names)]
        if not views:
            wanting = nearest_lacks(rules.permits, facts)
            return Decision("deny", self.digest, erred=tuple(erred), wanting=wanting)
        by = tuple(p.permit.id for p in views)
        shown = tuple(_view(p, facts) for p in views)
        judged = bool(rules.each) or any(view.rows is not None for view in shown)
        return Decision("permit", self.digest, by, tuple(erred), views=shown, judged=judged)


def _holds(test: Callable[..., bool] | None, rule: str, erred: list[str], *arguments: Any) -> bool:
    """Whether a condition holds; one that can't be decided is put down as erred, and doesn't hold."""
    if test is None:
        return True
    try:
        return test(*arguments)
    except ERRORS:
        if rule not in erred:
            erred.append(rule)
        return False


def _against(forbidding: Forbidding, facts: Facts, resource: Resource, erred: list[str]) -> bool:
    """Whether a forbid on resource types holds of one resource."""
    rule = forbidding.forbid.id
    return _holds(forbidding.when, rule, erred, facts) and _holds(forbidding.each, rule, erred, facts, resource)


def _at(place: str, finding: Finding) -> Finding:
    """The finding with the place of its resource before the path below it."""
    if finding.expression is None:
        return replace(finding, expression=place)
    _, dot, below = finding.expression.partition(".")
    return replace(finding, expression=f"{place}{dot}{below}")


def _grants(granting: Granting, facts: Facts, erred: list[str]) -> bool:
    rule = granting.permit.id
    return _holds(granting.gate.open, rule, erred, facts) and _holds(granting.when, rule, erred, facts)


def _check(checking: Checking, facts: Facts, resource: Resource) -> Iterable[Finding]:
    """What a check `on result` finds; one of error level that can't be decided refuses."""
    check = checking.check
    try:
        if (checking.when is None or checking.when(facts, resource)) and not checking.require(facts, resource):
            yield checking.tell.whole(facts, resource)
    except ERRORS:
        if check.severity == "error":
            yield Finding(check.severity, check.code, UNDECIDED, checking.tell.field, check.id)


def _undecided(rule: str | None) -> Finding:
    return Finding("error", "forbidden", UNDECIDED, None, rule)


def _view(granting: Granting, facts: Facts) -> View:
    permit = granting.permit
    narrow = tuple((name, values(facts)) for name, values in granting.narrow.get(facts.type or "", ()))
    rows = _rows(granting) if granting.rows or granting.each is not None else None
    return View(permit.id, permit.types, granting.hide, narrow, rows)


def _rows(granting: Granting) -> Callable[[Facts, Resource], bool]:
    rows, each = granting.rows, granting.each

    def shown(facts: Facts, resource: Resource) -> bool:
        if each is not None and not each(facts, resource):
            return False
        test = rows.get(resource["resourceType"])
        return test is None or test(facts, resource)

    return shown


def _hidden(hidden: Sequence[set[str]]) -> frozenset[str]:
    """Elements that each view hides, itself or with what holds it."""
    return frozenset(
        path
        for path in set().union(*hidden)
        if all(any(path == own or path.startswith(own + ".") for own in view) for view in hidden)
    )


def _nobody(facts: Facts) -> Finding:
    if facts.action == "ingest":
        words = "no rule of the domain lets anyone send this"
    else:
        words = f"no rule lets anyone {facts.action} {facts.type}"
    return Finding("error", "forbidden", words)
