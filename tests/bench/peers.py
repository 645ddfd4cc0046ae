"""Other rule engines, given the same rules: each the candidates of one key alone, as our own index would pick them.

None of them has an index over such rules, or its own is slower than this: so each is shown at its best. Rules are
prepared before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import casbin  # type: ignore[import-untyped]  # it has no types
import cedarpy
import cel
import lakera_regorus  # type: ignore[import-untyped]  # it has no types
import rule_engine  # type: ignore[import-untyped]  # it has no types
import zen

from tests.bench.rule_set import Atom, Key, Request, Rule

Plain = Mapping[str, str | list[str]]
Answer = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine writes conditions. Shape: `field` before each name; `holds` takes a list and a value."""

    field: str
    holds: str
    conj: str
    disj: str

    def atom(self, atom: Atom) -> str:
        """One comparison."""
        name, value = self.field + atom.field, f'"{atom.value}"'
        match atom.kind:
            case "equal":
                return f"{name} == {value}"
            case "differs":
                return f"{name} != {value}"
            case "holds":
                return self.holds.format(name, value)
            case "joined":
                return self.holds.format(self.field + atom.value, name)

    def rule(self, rule: Rule) -> str:
        """The condition of a rule."""
        parts = [f"({self.disj.join(map(self.atom, part))})" for part in rule.parts]
        return self.conj.join(parts)

    def whole(self, rules: Sequence[Rule], negation: str) -> str:
        """All candidates as one expression: some permit holds and no forbid does."""
        permits = [f"({self.rule(r)})" for r in rules if r.effect == "permit"]
        forbids = [f"({self.rule(r)})" for r in rules if r.effect == "forbid"]
        return self.conj.join([f"({self.disj.join(permits)})", *(f"{negation}({f})" for f in forbids)])


CEDAR = Dialect("context.", "{}.contains({})", " && ", " || ")
CEL = Dialect("", "({1} in {0})", " && ", " || ")
WORDS = Dialect("", "({1} in {0})", " and ", " or ")
CASBIN = Dialect("r.sub.", "({1} in {0})", " && ", " || ")
REGO = Dialect("input.", "{1} in {0}", "; ", "")

_MODEL = """
[request_definition]
r = sub
[policy_definition]
p = when, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = eval(p.when)
"""


def cedar(rules: Sequence[Rule]) -> Answer:
    """Cedar, asked through cedarpy with a policy set that was parsed before."""
    head = "{}(principal, action, resource) when {{ {} }};"
    policies = cedarpy.PolicySet.from_str("\n".join(head.format(rule.effect, CEDAR.rule(rule)) for rule in rules))
    nothing = cedarpy.Entities.from_json_str("[]")
    allowed = cedarpy.Decision.Allow
    return lambda request: bool(cedarpy.is_authorized(request, policies, nothing).decision == allowed)


def cedar_request(plain: Plain) -> object:
    """A request as cedarpy takes it."""
    who = {"principal": 'Caller::"one"', "action": 'Action::"ask"', "resource": 'Record::"one"'}
    return {**who, "context": dict(plain)}


def in_cel(rules: Sequence[Rule]) -> Answer:
    """CEL, the program compiled before."""
    program = cel.compile(CEL.whole(rules, "!"))
    return lambda request: bool(program.execute(request))


def in_zen(rules: Sequence[Rule]) -> Answer:
    """The expressions of zen, compiled before."""
    expression = zen.compile_expression(WORDS.whole(rules, "not "))
    return lambda request: bool(expression.evaluate(request))


def in_rule_engine(rules: Sequence[Rule]) -> Answer:
    """rule-engine, the rule parsed before."""
    rule = rule_engine.Rule(WORDS.whole(rules, "not "))
    return lambda request: bool(rule.matches(request))


def in_casbin(rules: Sequence[Rule]) -> Answer:
    """Casbin, its policy rules held in memory."""
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=_MODEL))
    for rule in rules:
        enforcer.add_policy(CASBIN.rule(rule), "allow" if rule.effect == "permit" else "deny")
    return lambda request: bool(enforcer.enforce(request))


def in_rego(rules: Sequence[Rule]) -> Answer:
    """Rego by regorus, one package."""
    engine = lakera_regorus.Engine()
    engine.add_policy(
        "rules.rego", "\n".join(["package rules", "import rego.v1", "default allow := false", *_rego(rules)])
    )

    def ask(request: object) -> bool:
        engine.set_input(request)
        return bool(engine.eval_query("data.rules.allow")["result"][0]["expressions"][0]["value"])

    return ask


def _rego(rules: Sequence[Rule]) -> Iterable[str]:
    """Rego has no `or`: each part is a rule of its own, with a body for each alternative."""
    for i, rule in enumerate(rules):
        names = []
        for j, part in enumerate(rule.parts):
            names.append(f"part_{i}_{j}")
            yield from (f"{names[-1]} if {REGO.atom(atom)}" for atom in part)
        yield f"{rule.effect}_any if {{ {'; '.join(names)} }}"
    yield "allow if { permit_any; not forbid_any }"


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine. Shape: `prepare` makes the answer of one key's rules, `request` what it is asked with."""

    name: str
    prepare: Callable[[Sequence[Rule]], Answer]
    request: Callable[[Plain], object] = dict


PEERS = (
    Peer("cedarpy", cedar, cedar_request),
    Peer("zen-engine", in_zen),
    Peer("regorus (lakera-regorus)", in_rego),
    Peer("CEL (common-expression-language)", in_cel),
    Peer("CEL, each request made a context before", in_cel, lambda plain: cel.Context(dict(plain))),
    Peer("pycasbin", in_casbin, lambda plain: SimpleNamespace(**plain)),
    Peer("rule-engine", in_rule_engine),
)


def by_key(rules: Iterable[Rule], wanted: Iterable[Key]) -> dict[Key, tuple[Rule, ...]]:
    """The candidates of each key that is asked for."""
    found: dict[Key, tuple[Rule, ...]] = dict.fromkeys(wanted, ())
    for rule in rules:
        for key in rule.keys:
            if key in found:
                found[key] = (*found[key], rule)
    return found


def asked(peer: Peer, rules: Iterable[Rule], requests: Sequence[Request]) -> list[tuple[Answer, object]]:
    """Each request with what answers it."""
    answers = {key: peer.prepare(own) for key, own in by_key(rules, {one.key for one in requests}).items()}
    return [(answers[one.key], peer.request(one.plain)) for one in requests]
