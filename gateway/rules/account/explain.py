"""A decision with its reasons: every rule that it could have come from, each condition with the value that was seen.

What is decided here is decided a second time, by walking the conditions; a property test holds it to what
`RuleSet.decide` answers. Accounts hold what was sent: they are for whoever asked, never for a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.finding import Finding, refuses
from gateway.rules import accepting
from gateway.rules.account import judge
from gateway.rules.account.judge import Judged
from gateway.rules.account.nearest import Nearest, nearest
from gateway.rules.account.sight import Resource, Sight
from gateway.rules.account.submitted import against_resources, placed
from gateway.rules.compile import Granting
from gateway.rules.decide import RuleSet
from gateway.rules.decision import Decision, Routing
from gateway.rules.declared import Check, Domain, Forbid, Permit, Route
from gateway.rules.facts import Facts
from gateway.rules.flow import covers
from gateway.rules.ground import submitted
from gateway.rules.queries import allows, names_of
from gateway.rules.reading import RESOURCE
from gateway.rules.release import Querying
from gateway.rules.stored import split
from gateway.rules.telling import UNDECIDED, Teller, teller
from gateway.rules.wanting import plain

INGEST = "ingest"


@dataclass(frozen=True, slots=True)
class Account:
    """A decision with its reasons.

    Shape: as in `Decision`; `views` are the permits of its views; `notices` is where a
    use of broken glass is told; `rules` are all that could have been asked, those
    that the decision did not come to marked; `decision` is what the gateway itself decides of the same facts;
    `overlays` are laid over the maps that an accepted message is converted with.
    """

    facts: Facts
    decision: Decision
    effect: Literal["permit", "deny", "refuse"]
    rules: tuple[Judged, ...]
    by: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    routes: tuple[Routing, ...] = ()
    notices: tuple[Routing, ...] = ()
    views: tuple[str, ...] = ()
    nearest: Nearest | None = None
    overlays: tuple[str, ...] = ()

    def agrees(self) -> bool:
        """Whether it says what the gateway decides; what conversion made is no part of that."""
        decision = self.decision
        own = (self.effect, self.by, self.erred, self.findings, self.routes, self.views)
        views = tuple(view.permit for view in decision.views)
        if any(judged.made for judged in self.rules):
            return decision.effect == "permit"
        return own == (decision.effect, decision.by, decision.erred, decision.findings, decision.routes, views)

    def deciding(self) -> tuple[Judged, ...]:
        """The rules that decided, found something or lead somewhere, in the order in which they were asked."""
        named = {*self.by, *self.erred, *(f.rule for f in self.findings)}
        named |= {routing.rule for routing in (*self.routes, *self.notices)}
        return tuple(j for j in self.rules if j.rule.id in named and j.asked)

    def others(self) -> tuple[Judged, ...]:
        """The rules that made no difference."""
        deciding = {id(j) for j in self.deciding()}
        return tuple(j for j in self.rules if id(j) not in deciding)


@dataclass(slots=True)
class _Heard:
    """What was found so far."""

    rules: list[Judged] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    erred: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    routes: list[Routing] = field(default_factory=list)

    def hear(self, judged: Judged, into: list[str] | None, *, asked: bool) -> None:
        """Put down what became of a rule; one that was not come to has no say."""
        self.rules.append(judged if asked else judge.unasked(judged))
        if not asked:
            return
        rule = judged.rule.id
        if judged.outcome is None and rule not in self.erred:
            self.erred.append(rule)
        elif judged.outcome and into is not None:
            into.append(rule)
        self.findings += judged.findings
        self.routes += judged.routes


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """Explains decisions of one rule set; keeps what it compiles of checks' messages."""

    rules: RuleSet
    _tellers: dict[str, Teller] = field(default_factory=dict)

    def explain(self, facts: Facts) -> Account:
        """Why a submission or a query is decided as it is. Shape: facts as `RuleSet.decide` takes them."""
        decision = self.rules.decide(facts)
        if facts.action == INGEST:
            return self._submission(facts, decision)
        account = self._query(facts, decision)
        return self._told(account) if facts.glass else account

    def _told(self, account: Account) -> Account:
        """The same with where the use of broken glass is told; what reads a resource is asked of none here."""
        about = [n for n in self.rules.noticing if not n.route.on.types or account.facts.type in n.route.on.types]
        judged = [judge.notice(n.route, split(n.route.when)[0], Sight(account.facts)) for n in about if n.each is None]
        led = {leg.target: leg for one in reversed(judged) for leg in reversed(one.routes)}
        return replace(account, rules=(*account.rules, *judged), notices=tuple(led.values()))

    def results(self, account: Account, made: Iterable[Resource]) -> Account:
        """The same with what the checks `on result` say of what conversion made."""
        facts = account.facts
        judged: list[Judged] = []
        for resource in made:
            kind = str(resource.get("resourceType"))
            for checking in self.rules.results.get((facts.domain or "", kind), ()):
                tell = self._tell(checking.check, RESOURCE)
                one = judge.check(checking.check, Sight(facts, resource), tell, (facts, resource))
                judged.append(replace(one, made=True, clauses=tuple(replace(c, at=kind) for c in one.clauses)))
        found = tuple(finding for one in judged for finding in one.findings)
        whole = replace(account, rules=(*account.rules, *judged), findings=(*account.findings, *found))
        if not refuses(found):
            return whole
        by = dict.fromkeys(f.rule for f in found if f.rule is not None and f.severity == "error")
        return replace(whole, effect="refuse", by=tuple(by), routes=())

    # --- submissions -----------------------------------------------------------------------------------------------

    def _submission(self, facts: Facts, decision: Decision) -> Account:
        domain = self.rules.domains.get(facts.domain or "")
        if domain is None or (facts.domain, facts.data_type, facts.type) not in self.rules.ingesting:
            return Account(facts, decision, "deny", ())
        heard = _Heard()
        sent = facts.resources.get(facts.type or "", ())
        sight = Sight(facts, sent[0][1] if sent else None)
        permits = self._rules_of(heard, domain, sight)
        if facts.resources:
            self._of_resources(heard, domain, facts)
        account = self._answer(heard, permits, facts, decision)
        return replace(account, overlays=_laid(domain, facts)) if account.effect == "permit" else account

    def _rules_of(self, heard: _Heard, domain: Domain, sight: Sight) -> tuple[Granting, ...]:
        """Ask the rules of a domain for the submission as a whole; answers the permits."""
        facts = sight.facts

        def applies(rule: Permit | Forbid | Check | Route) -> bool:
            return covers(rule.on, facts.data_type, facts.type or "")

        for forbid in domain.forbids:
            if INGEST in forbid.actions and not submitted(forbid.on) and applies(forbid):
                heard.hear(judge.condition(forbid, forbid.when, sight, "passes"), heard.denied, asked=True)
        asked = not heard.denied and not heard.erred
        permits = tuple(self.rules.granting[p.id] for p in domain.permits if INGEST in p.actions and applies(p))
        for granting in permits:
            heard.hear(judge.permit(granting, granting.permit.when, sight), heard.granted, asked=asked)
        asked = bool(heard.granted)
        for check in domain.checks:
            if not submitted(check.on) and applies(check):
                heard.hear(judge.check(check, sight, self._tell(check), (facts,)), None, asked=asked)
        for route in domain.routes:
            if applies(route):
                heard.hear(judge.route(route, sight), None, asked=asked)
        return permits

    def _of_resources(self, heard: _Heard, domain: Domain, facts: Facts) -> None:
        """Ask what is about each resource of a Fhir submission."""
        before = len(heard.denied) + len(heard.erred)
        if facts.data_type == "Fhir":
            for forbid in domain.forbids:
                if INGEST in forbid.actions and submitted(forbid.on):
                    heard.hear(against_resources(forbid, facts), heard.denied, asked=True)
        if len(heard.denied) + len(heard.erred) > before:
            heard.granted.clear()
            heard.findings.clear()
        asked = bool(heard.granted)
        erred = list(heard.erred)
        for place, resource in (each for sent in facts.resources.values() for each in sent):
            for check in domain.checks:
                if str(resource.get("resourceType")) in submitted(check.on):
                    told = judge.check(
                        check, Sight(facts, resource), self._tell(check, RESOURCE), (facts, resource)
                    )  # fmt: skip
                    heard.hear(placed(told, place), None, asked=asked)
        heard.erred[:] = erred  # such a check that can't be decided is told by what it finds alone

    def _answer(self, heard: _Heard, permits: Sequence[Granting], facts: Facts, decision: Decision) -> Account:
        account = Account(facts, decision, "deny", tuple(heard.rules), erred=tuple(heard.erred))
        if not heard.granted:
            others = [rule for rule in heard.erred if rule not in self.rules.granting]
            if heard.denied or others:
                return self._forbidden(account, heard.denied)
            return replace(account, nearest=nearest(permits, account.rules, facts))
        findings = tuple(heard.findings)
        if refuses(findings):
            by = dict.fromkeys(f.rule for f in findings if f.rule is not None and f.severity == "error")
            return replace(account, effect="refuse", by=tuple(by), findings=findings)
        if not heard.routes:
            gap = Finding("error", "business-rule", "no route of the domain takes this message")
            return replace(account, effect="refuse", findings=(*findings, gap))
        by_permits = tuple(heard.granted)
        return replace(account, effect="permit", by=by_permits, findings=findings, routes=tuple(heard.routes))

    def _forbidden(self, account: Account, denied: Sequence[str]) -> Account:
        findings = [Finding("error", "forbidden", plain(self.rules.forbids[r].title), None, r) for r in denied]
        findings += [Finding("error", "forbidden", UNDECIDED, None, rule) for rule in account.erred]
        by = tuple(f.rule for f in findings if f.rule is not None)
        return replace(account, by=by, findings=tuple(findings))

    def _tell(self, check: Check, *variables: str) -> Teller:
        found = self._tellers.get(check.id)
        if found is None:
            found = self._tellers[check.id] = teller(check, *variables)
        return found

    # --- queries ---------------------------------------------------------------------------------------------------

    def _query(self, facts: Facts, decision: Decision) -> Account:
        rules = self.rules.querying.get((facts.action, facts.type or ""))
        if rules is None or not rules.permits:
            return Account(facts, decision, "deny", ())
        searching = facts.action in {"search", "count"}
        names = names_of(facts.query) if searching and facts.query is not None else frozenset()
        heard = _Heard()
        sight = Sight(facts)
        usable = names <= rules.usable
        for forbidding in rules.forbids:
            forbid = forbidding.forbid
            heard.hear(judge.condition(forbid, forbid.when, sight, "passes"), heard.denied, asked=usable)
        open_ = usable and not heard.denied and not heard.erred
        masked = self._masked(heard, rules, sight, names, asked=open_)
        for granting in rules.permits:
            judged = judge.permit(granting, split(granting.permit.when)[0], sight)
            heard.hear(judged, heard.granted, asked=open_ and not masked)
        account = Account(facts, decision, "deny", tuple(heard.rules), erred=tuple(heard.erred))
        if not usable:
            return replace(account, nearest=nearest(rules.permits, account.rules, facts))
        if not open_:
            return self._forbidden(account, heard.denied)
        if masked:
            by = tuple(dict.fromkeys(f.rule for f in masked if f.rule is not None))
            return replace(account, by=by, findings=masked)
        granted = [p for p in rules.permits if p.permit.id in heard.granted]
        views = tuple(p.permit.id for p in granted if not searching or allows(p, facts, names))
        if not views:
            return replace(account, nearest=nearest(rules.permits, account.rules, facts))
        return replace(account, effect="permit", by=views, views=views)

    def _masked(
        self, heard: _Heard, rules: Querying, sight: Sight, names: frozenset[str], *, asked: bool
    ) -> tuple[Finding, ...]:
        """What the query searches that a mask hides from the caller in every resource."""
        found: list[Finding] = []
        for masking in rules.masks:
            hit = names & masking.parameters.get(sight.facts.type or "", frozenset())
            if not hit or masking.each is not None:
                continue
            judged = judge.condition(masking.mask, masking.mask.when, sight, "passes")
            heard.rules.append(judged if asked else judge.unasked(judged))
            if asked and judged.outcome is not False:
                found += [
                    Finding("error", "forbidden", f"{name} searches what is hidden from you", name, masking.mask.id)
                    for name in sorted(hit)
                ]
        return tuple(found)


def _laid(domain: Domain, facts: Facts) -> tuple[str, ...]:
    """What is laid over the maps for a message; nothing for what is no message of HL7 v2."""
    message = facts.message
    return () if message is None else accepting.overlays(domain.accepts, message.type, message.version)
