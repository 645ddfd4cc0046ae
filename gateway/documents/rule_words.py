"""A rule in a sentence or two, as the page of the rules says it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from gateway.documents import words
from gateway.rules.account.words import Titles, condition, listed, operand
from gateway.rules.declared import Applies, Check, Forbid, Mask, Permit, Route, Rows

Rule: TypeAlias = Permit | Forbid | Mask | Check | Route

_EFFECT = {"error": "Refuses", "warning": "Warns of", "information": "Tells of"}


def told(rule: Permit | Forbid | Mask | Check, names: Titles) -> str:
    """A rule in words."""
    return TOLD[type(rule)](rule, names)


def _permit(rule: Permit, names: Titles) -> str:
    said = [f"Lets a caller {_actions(rule.actions)}{_types(rule.types)}{_on(rule.on)}{_when(rule.when, names)}."]
    if rule.asking:
        said.append(f"A search carries {listed((' with '.join(group) for group in rule.asking), 'or')}.")
    if rule.allowing:
        said.append(f"It may also carry {listed(rule.allowing)}.")
    said += [_rows(rows, names) for rows in rule.rows.values()]
    whole = [name for name in rule.types if name not in rule.rows]
    if whole:
        said.append(f"Of {listed(whole)} all are shown.")
    if rule.hide:
        said.append(f"Hidden: {listed(rule.hide)}.")
    return " ".join(said)


def _rows(rows: Rows, names: Titles) -> str:
    linked = "" if rows.link is None else f"that are linked by {rows.link.path} "
    return f"Of {rows.type} those {linked}where {condition(rows.where, names)}."


def _forbid(rule: Forbid, names: Titles) -> str:
    return f"Nobody may {_actions(rule.actions)}{_types(rule.types)}{_on(rule.on)}{_when(rule.when, names)}."


def _mask(rule: Mask, names: Titles) -> str:
    asked = f"{_actions(rule.actions)}{_types(rule.types)}"
    return f"Hides {listed(rule.hide)} from those who {asked}{_when(rule.when, names)}."


def _check(rule: Check, names: Titles) -> str:
    text = "".join(part if isinstance(part, str) else f"[{operand(part, names)}]" for part in rule.text)
    effect = f"{_EFFECT[rule.severity]}{_on(rule.on) or ' anything'} unless {words.demand(rule, names)}"
    how = rule.judging or rule.holding
    if how is not None:
        before = f", with before it: {text}" if how.worded else ""
        return f"{effect}. It tells each departure by itself{before}."
    return f"{effect}. It says: {text}."


TOLD: Mapping[type, Callable[[Any, Titles], str]] = {Permit: _permit, Forbid: _forbid, Mask: _mask, Check: _check}
"""How each kind of rule is said; routes are said as the OpenAPI document says them."""


def _actions(actions: Iterable[str]) -> str:
    return listed(("send" if action == "ingest" else action for action in actions), "or")


def _types(types: Iterable[str]) -> str:
    named = listed(types, "or")
    return f" {named}" if named else ""


def _on(on: Applies) -> str:
    """What a rule is about; nothing where it is about all that the domain takes."""
    if not on.data_types:
        return ""
    of = "what is made of it" if "result" in on.data_types else listed(on.data_types, "or")
    return f" {of}{f' ({chr(44).join(on.types)})' if on.types else ''}".replace(",", ", ")


def _when(test: Any, names: Titles) -> str:
    said = words.when(test, names)
    return f", {said}" if said else ""
