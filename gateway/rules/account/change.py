"""One thing that is otherwise in another rule set, and how what is alike is said at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.rules.account.words import listed

Kind = Literal["gain", "lose", "change"]
Area = Literal["who", "checks", "routes", "domains", "registry", "rules"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words.

    Shape: `who` are the principals that it is about, `actions` and `types` what they do; `words` is the sentence after
    the subject, with `{what}` where the actions and types stand; `of` is what the sentence is about where it is no
    principal: a domain.
    """

    kind: Kind
    area: Area
    words: str
    who: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    of: str = ""

    @property
    def sentence(self) -> str:
        """The whole sentence, without a full stop."""
        what = f"{listed(self.actions)} {listed(self.types)}".strip()
        subject = listed(self.who) or self.of
        return " ".join(filter(None, (f"{subject}:" if not self.who and subject else subject, self._filled(what))))

    def _filled(self, what: str) -> str:
        return self.words.replace("{what}", what)


def alike(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Changes with those that differ in type, action or principal alone made one, in the order of the first."""
    found = list(dict.fromkeys(changes))
    for name in ("types", "actions", "who"):
        merged: dict[Change, list[str]] = {}
        for change in found:
            merged.setdefault(_with(change, name, ()), []).extend(getattr(change, name))
        found = [_with(change, name, tuple(dict.fromkeys(every))) for change, every in merged.items()]
    return tuple(found)


def _with(change: Change, name: str, values: tuple[str, ...]) -> Change:
    changed: dict[str, Any] = {name: values}
    return replace(change, **changed)
