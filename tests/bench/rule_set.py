"""Invented rules of any number, in our language and as plain conditions that other engines can be given too.

Shape: domains of ten rules each: six about what the domain takes, four about one action on one resource type. The
same number always gives the same rules and the same requests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gateway.rules import Caller, Facts

RULES_OF_A_DOMAIN = 10
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
MESSAGES = ("ADT^A01", "ADT^A03", "ADT^A04", "ADT^A08", "ADT^A28", "ADT^A31")
ACTIONS = ("read", "search", "history", "create", "update", "patch", "delete")
ROLES = tuple(f"role-{i}" for i in range(12))
PURPOSES = ("TREAT", "HOPERAT", "HRESCH", "HPAYMT", "PUBHLTH", "ETREAT")
ORGANISATIONS = tuple(f"R{i:02d}" for i in range(40))
PRINCIPALS = tuple(f"system-{i}" for i in range(60))
ENVIRONMENTS = ("production", "test")

Key = tuple[str, str]
"""Domain and message type, or action and resource type: what both indexes find candidates by."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One comparison over a flat request.

    Shape: `equal` and `differs` compare the text `field` with `value`, `holds` asks whether the list `field` has
    `value`, `joined` whether the list `value` has the text `field`; what is absent is the empty text.
    """

    kind: Literal["equal", "differs", "holds", "joined"]
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A permit or forbid: all of `parts` must hold, of each one of its alternatives."""

    name: str
    effect: Literal["permit", "forbid"]
    keys: tuple[Key, ...]
    head: str
    parts: tuple[tuple[Atom, ...], ...]

    @property
    def text(self) -> str:
        """The rule in our language."""
        tests = [_alternatives([_ours(atom) for atom in part]) for part in self.parts]
        when = "\n   and ".join(tests)
        rows = "\n  all rows" if self.effect == "permit" and "to ingest" not in self.head else ""
        return f'{self.effect} {self.name} "Rule {self.name}"\n  {self.head}\n  when {when}{rows}\n'


def _alternatives(tests: Sequence[str]) -> str:
    return tests[0] if len(tests) == 1 else "(" + "\n    or ".join(tests) + ")"


def _ours(atom: Atom) -> str:  # noqa: C901, PLR0911 - one row a comparison
    match atom:
        case Atom("holds", "roles", value):
            return f"caller has role {value}"
        case Atom("holds", "organisations", value):
            return f"{value} in caller.organisations"
        case Atom("joined", "organisation", "connects"):
            return "caller connects as organisation"
        case Atom("equal", "purpose", value):
            return f"(purpose is present and purpose is {value})"
        case Atom("differs", "purpose", value):
            return f"(purpose is absent or purpose is not {value})"
        case Atom("equal", "user", ""):
            return "user is absent"
        case Atom("equal", "name", value):
            return f"caller.name is {value}"
        case Atom("equal", "type", value):
            return f"message.type is {value}"
        case Atom("differs", "environment", value):
            return f'environment is not "{value}"'
        case Atom("equal", "environment", value):
            return f'environment is "{value}"'
    raise LookupError(atom)


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """A rule set. Shape: `files` are rule files by name, `rules` the same rules; `keys` of each domain."""

    files: Mapping[str, str]
    rules: tuple[Rule, ...]
    keys: Mapping[str, tuple[Key, ...]]


def rule_texts(domains: int, resources: Sequence[str], seed: int = 5) -> RuleTexts:
    """Rules of so many domains; each has one action on one resource type to itself."""
    chance = random.Random(seed)  # noqa: S311 - rules, not secrets
    files = {"registry.rules": _registry()}
    every: list[Rule] = []
    keys: dict[str, tuple[Key, ...]] = {}
    for i in range(domains):
        name = f"domain-{i}"
        taken = tuple(chance.sample(MESSAGES, 4))
        action, resource = ACTIONS[(i // len(resources)) % len(ACTIONS)], resources[i % len(resources)]
        rules = [*_sending(f"D{i}", name, taken, chance), *_asking(f"D{i}", (action, resource), chance)]
        every += rules
        keys[name] = (*((name, message) for message in taken), (action, resource))
        head = f'language 1\ndomain {name} "Domain {i}"\n  serves record\n'
        head += f"accept Hl7v2 {', '.join(taken)}\n  versions 2.4 to 2.5.1\n"
        route = f'route D{i}-R "All"\n  on Hl7v2\n  to record\n  on failure reject\n'
        files[f"{name}.rules"] = "\n".join([head, *(rule.text for rule in rules), route])
    return RuleTexts(files, tuple(every), keys)


def _registry() -> str:
    chance = random.Random(1)  # noqa: S311 - rules, not secrets
    lines = ["language 1", 'target record "Record" takes Fhir']
    lines += [f'organisation {code} "Organisation {code}"' for code in ORGANISATIONS]
    lines += [f'role {role} "Role"' for role in ROLES]
    lines += [f'purpose {purpose} "Purpose"' for purpose in PURPOSES]
    for name in PRINCIPALS:
        own = ", ".join(chance.sample(ORGANISATIONS, chance.randint(1, 6)))
        roles = ", ".join(chance.sample(ROLES, chance.randint(2, 5)))
        lines.append(f'principal {name} "A system"\n  connects as {own}\n  roles {roles}')
    return "\n".join(lines) + "\n"


def _sending(prefix: str, domain: str, taken: Sequence[str], chance: random.Random) -> Iterator[Rule]:
    """Three permits and three forbids about what a domain takes, some about one message type."""
    for i in range(3):
        only = taken if i else taken[:2]
        head = "to ingest" if i else f"to ingest\n  on Hl7v2 {', '.join(only)}"
        parts = ((Atom("joined", "organisation", "connects"), *_role(chance, 1)), _role(chance, 4))
        yield Rule(f"{prefix}-P{i}", "permit", tuple((domain, t) for t in only), head, parts)
    for i in range(3):
        only = taken if i else taken[2:]
        head = "to ingest" if i else f"to ingest\n  on Hl7v2 {', '.join(only)}"
        yield Rule(f"{prefix}-F{i}", "forbid", tuple((domain, t) for t in only), head, _against(chance, only))


def _asking(prefix: str, key: Key, chance: random.Random) -> Iterator[Rule]:
    """Three permits and a forbid about one action on one resource type."""
    head = f"to {key[0]} {key[1]}"
    for i in range(3):
        wanted = tuple(Atom("equal", "purpose", p) for p in chance.sample(PURPOSES, 2))
        yield Rule(f"{prefix}-Q{i}", "permit", (key,), head, (_role(chance, 3), wanted))
    yield Rule(f"{prefix}-G", "forbid", (key,), head, _against(chance, ()))


def _role(chance: random.Random, most: int) -> tuple[Atom, ...]:
    return tuple(Atom("holds", "roles", role) for role in chance.sample(ROLES, most))


def _against(chance: random.Random, types: Sequence[str]) -> tuple[tuple[Atom, ...], ...]:
    parts = [
        (
            Atom("equal", "name", chance.choice(PRINCIPALS)),
            Atom("holds", "organisations", chance.choice(ORGANISATIONS)),
        ),
        (Atom("equal", "user", ""), Atom("equal", "environment", "production")),
        (Atom("differs", "purpose", chance.choice(PURPOSES)), Atom("differs", "environment", "production")),
        *([(Atom("equal", "type", chance.choice(types)), Atom("equal", "user", ""))] if types else []),
    ]
    return tuple(chance.sample(parts, 3))


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Shape: `key` finds its candidates; `plain` is flat, texts and lists of texts, for other engines."""

    key: Key
    facts: Facts
    plain: Mapping[str, str | list[str]]


def requests(texts: RuleTexts, callers: Mapping[str, Caller], count: int = 1_000, seed: int = 7) -> tuple[Request, ...]:
    """Random requests over all domains: messages that are sent and resources that are asked for or written."""
    chance = random.Random(seed)  # noqa: S311 - requests, not secrets
    domains = list(texts.keys)
    return tuple(_request(chance, chance.choice(domains), texts, callers) for _ in range(count))


def _request(chance: random.Random, domain: str, texts: RuleTexts, callers: Mapping[str, Caller]) -> Request:
    *taken, asked = texts.keys[domain]
    key = asked if chance.random() < 0.4 else chance.choice(taken)
    caller = callers[chance.choice(PRINCIPALS)]
    own = sorted(caller.connects_as)
    purpose, user = chance.choice([*PURPOSES, None]), chance.choice(["dr-marlow", None])
    environment = chance.choice(ENVIRONMENTS)
    organisation = chance.choice(own if chance.random() < 0.8 else ORGANISATIONS)
    if key == asked:
        facts = Facts(key[0], caller, environment, NOW, NOW.date(), purpose=purpose, user=user, type=key[1])
    else:
        facts = Facts(
            "ingest", caller, environment, NOW, NOW.date(), purpose=purpose, user=user, type=key[1], domain=domain,
            organisation=organisation, data_type="Hl7v2", received=NOW,
        )  # fmt: skip
    plain: dict[str, str | list[str]] = {
        "action": facts.action, "domain": facts.domain or "", "type": key[1], "organisation": facts.organisation or "",
        "name": caller.name, "roles": sorted(caller.roles), "organisations": sorted(caller.organisations),
        "connects": own, "purpose": purpose or "", "user": user or "", "environment": environment,
    }  # fmt: skip
    return Request(key, facts, plain)
