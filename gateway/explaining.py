"""`gateway rules explain`: what a file, a search or a receipt is to the rules, without a server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway import hl7v2, loading, query, rules, trials
from gateway.config import FILES, Settings
from gateway.fhir import Resource
from gateway.finding import Finding, refuses
from gateway.interactions.gateway import LONDON
from gateway.journal import Submission, kept_files
from gateway.journal.looking import look_up
from gateway.journal.opening import keys_of
from gateway.language.nodes import Text
from gateway.loading import Decisions
from gateway.rules import Facts, RuleSet
from gateway.rules.account.apart import Apart, apart
from gateway.rules.account.explain import Account, Explainer
from gateway.rules.account.release import Released, release
from gateway.rules.trial.given import Sent, Unusable, World, read
from gateway.rules.trial.given import apart as sent_apart
from gateway.rules.trial.run import beside as stored_beside
from gateway.source import Keep, made_anew, nearest

_OFFER = replace(query.FACADE, beyond=False)
"""What partners may ask in a search, but for what is refused whoever asks."""

KINDS = {"Hl7v2": "message", "Fhir": "resource", "Csv": "file"}
SUFFIXES = {".hl7": "Hl7v2", ".json": "Fhir", ".csv": "Csv"}


class NotExplained(Exception):  # noqa: N818 - says what is missing or wrong in the question
    """The question can't be put to the rules; the words say what would help."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks, when and where; None for what is to be found out.

    Shape: `data_type` and `domain` are of what is sent; `day` in Europe/London, at noon.
    """

    principal: str | None = None
    organisation: str | None = None
    domain: str | None = None
    data_type: str | None = None
    purpose: str | None = None
    user: str | None = None
    environment: str = "production"
    day: date | None = None
    glass: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """One thing that was judged.

    Shape: `name` is how it is called; `account` is None for what is refused before any rule is asked, by `wrong`;
    `released` are the resources that came back, each with what becomes of it.
    """

    name: str
    account: Account | None
    wrong: tuple[Finding, ...] = ()
    released: tuple[Released, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Rules and maps of a folder, ready to explain."""

    loaded: Decisions
    world: World
    explainer: Explainer

    @property
    def rules(self) -> RuleSet:
        """The rule set."""
        return self.loaded.rules

    def file(self, path: Path, asked: Question) -> Iterator[Explained]:
        """Why a file would be taken or not: each message, resource or row of it.

        Errors: NotExplained, OSError.
        """
        data_type = asked.data_type or SUFFIXES.get(path.suffix.lower(), "Hl7v2")
        raw = path.read_bytes()
        domain = asked.domain or self._domain(path, data_type, raw)
        if domain not in self.rules.domains:
            raise NotExplained(f"no rule file declares a domain {domain}{_near(domain, self.rules.domains)}")
        yield from self._sent(raw, replace(asked, data_type=data_type, domain=domain))

    def receipt(self, settings: Settings, receipt: str, asked: Question) -> Iterator[Explained]:
        """Why what came under a receipt would be taken or not now, as it was sent then.

        Errors: NotExplained, JournalUnavailable, Unsealable, OSError.
        """
        entry = look_up(settings, receipt)
        if entry is None:
            raise NotExplained(f"the journal of {settings.data} has no receipt {receipt}")
        if entry.purged is not None:
            raise NotExplained(f"what came under {receipt} was taken out on {entry.purged[:10]}, by retention")
        found = entry.submission
        if found.data_type not in KINDS:
            raise NotExplained(f"{receipt} is the gateway's own {found.type}, which no rule judged")
        if found.domain not in self.rules.domains:
            raise NotExplained(f"the rules declare no domain {found.domain} any more")
        sent = replace(
            asked, principal=found.principal, organisation=found.organisation, domain=found.domain,
            data_type=found.data_type, purpose=found.purpose, user=found.user,
        )  # fmt: skip
        others = "" if found.rules == self.rules.digest else ", which other rules judged then"
        for one in self._sent(_body(settings, found), sent, datetime.fromisoformat(found.received)):
            yield replace(one, name=f"{one.name} of {found.received}{others}")

    def search(
        self, address: str, asked: Question, returning: Sequence[Path] = (), beside: Sequence[Path] = ()
    ) -> Explained:
        """Why a search (`Patient?family=Smith`) or a read (`Patient/1`) would be granted or not.

        Shape: with files of resources that it finds, whether each of them is released; `beside` are files of the
        resources that stand beside those: their patients, and what they are linked with.
        Errors: NotExplained, OSError.
        """
        return next(self.searches(address, asked, returning, beside))

    def searches(
        self, address: str, asked: Question, returning: Sequence[Path] = (), beside: Sequence[Path] = ()
    ) -> Iterator[Explained]:
        """The same, and then of each search that a chain or `_has` of it leads to: each has to be granted by itself.

        Errors: NotExplained, OSError.
        """
        parts = urlsplit(address)
        kind, _, below = unquote(parts.path).strip("/").partition("/")
        if kind not in self.loaded.tables.types:
            near = _near(kind, self.loaded.tables.types)
            raise NotExplained(f"{address} is no file that is there, no receipt and no search: {kind} is no type{near}")
        if asked.principal is None:
            raise NotExplained("say who asks: --from PRINCIPAL")
        action = "search" if not below else "history" if below.endswith("_history") else "read"
        facts = replace(self._facts(asked, action, None), type=kind, glass=asked.glass)
        links: Sequence[Apart] = ()
        if action == "search":
            found = query.parse(kind, parse_qsl(parts.query, keep_blank_values=True), self.loaded.tables, _OFFER)
            if not isinstance(found, query.Query):
                yield Explained(address, None, found)
                return
            first, *links = apart(found, self.loaded.tables)
            facts = replace(facts, action="count" if found.summary == "count" else action)
            account = self._of_search(facts, first)
            facts = account.facts
        else:
            account = self.explainer.explain(facts)
        found_there, others = ([self._resource(path) for path in paths] for paths in (returning, beside))
        everything = (*found_there, *others)
        released = tuple(
            release(
                self.rules, facts, account.decision, resource,
                stored_beside(self.world, facts, account.decision, resource, everything),
            )
            for resource in found_there
        )  # fmt: skip
        yield Explained(address, account, released=released)
        for one in links:
            inner = self._of_search(replace(facts, action="search", type=one.asked.type), one)
            yield Explained(f"{one.name} (by {one.by})", inner)

    def _of_search(self, facts: Facts, one: Apart) -> Account:
        """Why one search is granted or not; what `_has` leads to may be asked for by its id."""
        account = self.explainer.explain(replace(facts, query=one.asked))
        if account.effect == "permit" or one.named is None:
            return account
        named = self.explainer.explain(replace(facts, query=one.named))
        return named if named.effect == "permit" else account

    def _resource(self, path: Path) -> Resource:
        try:
            return read(path.read_bytes())
        except Unusable as fault:
            raise NotExplained(f"{path}: {fault}") from fault

    # --- what is sent ----------------------------------------------------------------------------------------------

    def _sent(self, raw: bytes, asked: Question, received: datetime | None = None) -> Iterator[Explained]:
        if asked.data_type not in KINDS:
            raise NotExplained(f"{asked.data_type} is no data type: there are {', '.join(KINDS)}")
        principal, organisation = self._sender(raw, asked)
        facts = self._facts(replace(asked, principal=principal), "ingest", received)
        facts = replace(facts, domain=asked.domain, organisation=organisation, data_type=asked.data_type)
        try:
            several = sent_apart(self.world, KINDS[asked.data_type], facts, raw)
        except Unusable as fault:
            raise NotExplained(str(fault)) from fault
        for one in several:
            yield self._one(one)

    def _one(self, sent: Sent) -> Explained:
        if sent.wrong:
            return Explained(sent.name, None, sent.wrong)
        account = self.explainer.explain(sent.facts)
        if account.effect != "permit":
            return Explained(sent.name, account)
        made = sent.convert()
        if refuses(made.findings):
            return Explained(sent.name, account, made.findings)
        return Explained(sent.name, self.explainer.results(account, made.resources))

    def _sender(self, raw: bytes, asked: Question) -> tuple[str, str]:
        """Who sends it, and as whom: without a name, the first principal that is registered for it."""
        kind = self._kind(raw, asked.data_type or "", asked.domain or "")
        principal, organisation = asked.principal, asked.organisation
        if principal is None:
            principal = self._registered(kind, asked.domain or "")
        declared = self.rules.registry.principals.get(principal)
        if declared is not None and organisation is None:
            organisation = next(iter(declared.sends_as or declared.connects_as), "")
        return principal, (organisation or "").upper()

    def _registered(self, kind: str, domain: str) -> str:
        """The first principal that is registered to send a type to a domain; else any type."""
        principals = self.rules.registry.principals.items()
        exactly = [name for name, one in principals if kind in one.sends.get(domain, ())]
        found = exactly or [name for name, one in principals if domain in one.sends]
        if not found:
            raise NotExplained(f"no principal is registered to send anything to {domain}: give --from PRINCIPAL")
        return found[0]

    def _kind(self, raw: bytes, data_type: str, domain: str) -> str:
        if data_type == "Hl7v2":
            return hl7v2.read(raw).type or ""
        accepts = [a for a in self.rules.domains[domain].accepts if a.data_type == data_type]
        return next((kind for accept in accepts for kind in accept.types), "")

    def _domain(self, path: Path, data_type: str, raw: bytes) -> str:
        """The domain that samples of the folder are of, or the one domain that accepts the file."""
        if path.parent.name in self.rules.domains:
            return path.parent.name
        kind = hl7v2.read(raw).type if data_type == "Hl7v2" else None
        accepting = [
            name
            for name, domain in self.rules.domains.items()
            if any(a.data_type == data_type and (kind is None or kind in a.types) for a in domain.accepts)
        ]
        if len(accepting) != 1:
            raise NotExplained(
                f"say where it is sent: --to DOMAIN, one of {', '.join(accepting or self.rules.domains)}"
            )
        return accepting[0]

    def _facts(self, asked: Question, action: str, received: datetime | None) -> Facts:
        principal = asked.principal or ""
        caller = self.rules.caller(principal)
        if caller is None:
            near = _near(principal, self.rules.registry.principals)
            raise NotExplained(f"no rule file declares a principal {principal}{near}")
        if asked.purpose is not None and asked.purpose not in self.rules.registry.purposes:
            near = _near(asked.purpose, self.rules.registry.purposes)
            raise NotExplained(f"no rule file declares a purpose {asked.purpose}{near}")
        now = received or datetime.now(UTC)
        if asked.day is not None:
            now = datetime.combine(asked.day, time(12), LONDON)
        return Facts(
            action, caller, asked.environment, now, now.astimezone(LONDON).date(), purpose=asked.purpose,
            user=asked.user, received=now if action == "ingest" else None,
        )  # fmt: skip


def desk(folder: Path, specs: Path, keep: Keep = made_anew) -> Desk:
    """Load the rules of a folder, with the maps that convert what is sent.

    Shape: `keep` holds what the files were parsed to.
    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    names = loading.vocabulary(specs)
    found = rules.load(folder, names, keep=keep)
    if found.rules is None:
        raise loading.NotLoaded(found.diagnostics)
    loaded = loading.decided(found, names, specs, keep)
    world = World(loaded.rules, names, trials.conversion(loaded, names), _no_sample)
    return Desk(loaded, world, Explainer(loaded.rules))


def _no_sample(text: Text) -> bytes:
    raise Unusable(f"no sample is read here: {text.value}")


def _body(settings: Settings, found: Submission) -> bytes:
    """What was sent: of a file, that which the journal's body names."""
    if found.data_type == "Csv":
        return kept_files.whole(keys_of(settings), settings.data / FILES, found.receipt) or found.body
    return found.body


_RECEIPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_receipt(text: str) -> bool:
    """Whether a text has the form of a receipt."""
    return _RECEIPT.fullmatch(text) is not None


def _near(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""
