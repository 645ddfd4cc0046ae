"""What `gateway demo` does: samples are sent, and a partner searches for what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gateway import samples
from gateway.client import GatewayClient, Sent, load_credential
from gateway.config import CLIENTS
from gateway.demo import Partner, Script, Sending
from gateway.loading import Decisions
from gateway.sampling import Sample, Sampler

OK = 200


@dataclass(frozen=True, slots=True)
class Search:
    """A search for what was sent. Shape: `count` resources were found."""

    text: str
    status: int
    count: int


@dataclass(frozen=True, slots=True)
class Played:
    """One submission, how it was answered, and the searches for it."""

    sending: Sending
    sample: Sample
    reply: Sent
    searches: tuple[Search, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether it was taken and found by each search, or refused by the rule that was to refuse it."""
        if self.sending.refused:
            return not self.reply.accepted and self.sending.refused in self.reply.text
        return self.reply.accepted and all(search.count > 0 for search in self.searches)


def play(script: Script, loaded: Decisions, specs: Path, data: Path, url: str, console: Console) -> bool:
    """Send every sample, find those that were taken by searches, and say so in a table.

    Shape: whether all went as the script says.
    Errors: NotSampled, SpecsError, TokenRefused, CredentialError, Unreachable.
    """
    engine, partner = script.engine, script.partner
    played: list[Played] = []
    with (
        _client(data, url, engine.principal) as sends,
        _client(data, url, partner.principal) as asks,
        Progress(console=console, transient=True) as progress,
    ):
        task = progress.add_task("sending", total=2 * len(script.sendings))
        for sending in script.sendings:
            progress.update(task, description=f"sending {sending.type}")
            sample, body = _made(sending, loaded, specs, engine.principal)
            reply = sends.send(
                body, domain=sending.domain, organisation=engine.organisation, data_type=sample.data_type
            )
            played.append(Played(sending, sample, reply))
            progress.advance(task)
        for at, one in enumerate(played):
            progress.update(task, description=f"searching for {one.sending.type}")
            played[at] = Played(one.sending, one.sample, one.reply, tuple(_searched(asks, partner, one)))
            progress.advance(task)
    console.print(_table(played, partner))
    for one in played:
        if not one.as_expected:
            console.rule(f"{one.sending.type} to {one.sending.domain}: {one.reply.status}")
            console.print(one.reply.text, markup=False, highlight=False)
    return all(one.as_expected for one in played)


def _client(data: Path, url: str, principal: str) -> GatewayClient:
    return GatewayClient(url, principal, load_credential(data / CLIENTS / f"{principal}.json"))


def _made(sending: Sending, loaded: Decisions, specs: Path, principal: str) -> tuple[Sample, bytes]:
    """What is sent: the sample that the searches are for, and the body, which may have more rows."""
    domain = sending.made_for or sending.domain
    sampler = samples.sampler(loaded, specs, domain, sending.type, principal=principal)
    every = [_one(sampler, sending, index) for index in range(sending.count)]
    return every[0], sampler.joined(every)


def _one(sampler: Sampler, sending: Sending, index: int) -> Sample:
    if sending.fault:
        return sampler.faulty(sampler.check(sending.fault), sending.seed, index)
    return sampler.one(sending.seed, index)


def _searched(client: GatewayClient, partner: Partner, played: Played) -> Iterator[Search]:
    if not played.reply.accepted:
        return
    for text in played.sending.find:
        filled = text.replace("{patient}", played.sample.patient)
        kind, _, query = filled.partition("?")
        answer = client.search(kind, parse_qsl(query), purpose=partner.purpose)
        found = answer.resource.get("entry", ()) if answer.status == OK else ()
        # what was included or said beside is no match
        matches = [entry for entry in found if entry.get("search", {}).get("mode", "match") == "match"]
        yield Search(filled, answer.status, len(matches))


def _table(played: list[Played], partner: Partner) -> Table:
    table = Table("sent", "to", "answer", f"found by {partner.principal}", "as expected", show_lines=False)
    for one in played:
        answer = " ".join(filter(None, (str(one.reply.status), one.reply.code)))
        if one.sending.refused:
            found = f"refused by {one.sending.refused}" if one.as_expected else "nothing was to be found"
        else:
            found = "\n".join(f"{search.text}: {search.count}" for search in one.searches)
        kind = f"{one.sending.type}, {one.sending.count} rows" if one.sending.count > 1 else one.sending.type
        table.add_row(kind, one.sending.domain, answer, found, "yes" if one.as_expected else "NO")
    return table
