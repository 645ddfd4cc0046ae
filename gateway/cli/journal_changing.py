"""`gateway journal replay`, `purge`, `rekey` and `new-key`: what changes what is kept, or says what it would change."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway import loading, rejudging
from gateway.cli import journal_shown as shown
from gateway.cli.console import DATA, Data, err, out, progress, stop
from gateway.cli.journal_options import (
    Rules,
    Style,
    entries,
    filtered,
    print_table,
    reading,
    writing,
)
from gateway.cli.keeping import keeping
from gateway.config import FILES, Settings, load
from gateway.identity.private_file import make_folder, write_private
from gateway.interactions.retention import planned
from gateway.journal import browsing, kept_files, key_file, purging, rekeying, replaying
from gateway.journal.desk import Desk
from gateway.journal.opening import keys_of
from gateway.journal.replaying import DeadLetter
from gateway.journal.sealed import read_keys
from gateway.journal.sought import Sought
from gateway.rejudging import Changed, Rejudged
from gateway.rules import RuleSet
from gateway.rules import load as load_rules

MOST_SHOWN = 200
"""Changed answers that are told one by one; more are counted."""


@filtered()
def replay(  # noqa: PLR0913 - beside the filters, one parameter for each option
    wanted: Sought,
    receipt: Annotated[str | None, typer.Argument(help="Of this submission alone.")] = None,
    target: Annotated[str | None, typer.Option(help="What is dead at this target alone.")] = None,
    rules: Rules = None,
    style: Style = "text",
    data: Data = DATA,
    *,
    every: Annotated[bool, typer.Option("--all", help="Without any filter: all dead letters.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only list the dead letters, and why they are dead.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="Deliver nothing: judge again, and tell which answers change.")
    ] = False,
) -> None:
    """Queue dead letters again, in their order; or, with --dry-run, judge what was sent by other rules.

    A gateway that runs delivers them within seconds, one that is started later does so then. Nothing else is changed.

    Example: `gateway journal replay --list`

    Example: `gateway journal replay --target bed-board --since 24h`

    Example: `gateway journal replay --dry-run --rules ../new-rules --domain emergency-care --since 7d`
    """
    wanted = replace(wanted, receipt=receipt)
    if rehearse:
        _rehearse(data, wanted, rules, style)
        return
    if rules is not None:
        stop("--rules goes with --dry-run: what is delivered again was judged when it was accepted")
    if listed:
        with reading(data) as (desk, _):
            _print_letters(list(_letters(desk, wanted, target)), style)
        return
    if wanted == Sought() and target is None and not every:
        stop("say which: a receipt, a filter such as --target or --since, or --all")
    with writing(data) as (desk, _):
        letters = list(_letters(desk, wanted, target))
        queued = _queued(desk, [one for one in letters if one.kept])
    _tell_queued(letters, queued, running=not desk.alone)
    if receipt is not None and not queued:
        sys.exit(1)


def _letters(desk: Desk, wanted: Sought, target: str | None) -> Iterator[DeadLetter]:
    last = 0
    while found := desk.read(partial(replaying.dead_letters, wanted, replaying.AT_ONCE, last, target)):
        yield from found
        last = found[-1].id


def _queued(desk: Desk, letters: Sequence[DeadLetter]) -> Counter[str]:
    """How many were queued again, by target; some at a time, for a gateway waits meanwhile."""
    queued: Counter[str] = Counter()
    with progress() as bar:
        for one in bar.track(letters, description="queueing"):
            done = desk.change(partial(replaying.again, one, datetime.now(UTC), in_front=desk.alone))
            queued[one.target] += done
    return queued


def _print_letters(letters: Sequence[DeadLetter], style: str) -> None:
    if style == "json":
        sys.stdout.write(shown.as_json([shown.letter(one) for one in letters]))
        return
    print_table(
        ("since", "receipt", "domain", "type", "control id", "target", "attempts", "why"),
        [
            (one.since[:19].replace("T", " "), one.receipt, one.domain, one.type, one.control_id, one.target,
             str(one.attempts), one.why if one.kept else "taken out by retention")
            for one in letters
        ],
    )  # fmt: skip
    err.print(f"{len(letters)} dead letters")


def _tell_queued(letters: Sequence[DeadLetter], queued: Counter[str], *, running: bool) -> None:
    for target, number in sorted(queued.items()):
        out.print(f"{target}: {number} queued again")
    gone = sum(not one.kept for one in letters)
    if gone:
        err.print(f"{gone} can't be: retention took them out")
    if not letters:
        err.print("nothing is dead among them")
    elif queued:
        err.print("a gateway that runs delivers them now" if running else "they are delivered when the gateway starts")


def _rehearse(data: Path, wanted: Sought, rules: Path | None, style: str) -> None:
    settings = load(data=data)
    folder = rules or settings.rules
    if not folder.is_dir():
        stop(f"{folder} is no folder")
    loaded = loading.decisions(folder, settings.specs, keeping())
    counts = Rejudged()
    changes = asyncio.run(_judged(data, wanted, settings, loaded, counts))
    if style == "json":
        sys.stdout.write(rejudging.as_json(changes, counts))
        return
    print_table(("count", "was", "would be"), [(str(n), *one) for one, n in counts.by_rule.most_common()])
    if changes:
        out.print()
    print_table(
        ("received", "receipt", "control id", "was", "would be", "told"),
        [
            (one.entry.submission.received[:19].replace("T", " "), one.entry.submission.receipt,
             one.entry.submission.control_id, *one.sentence, "; ".join(one.now.words))
            for one in changes
        ],
    )  # fmt: skip
    more = counts.changed - len(changes)
    if more:
        err.print(f"{more} more changes are counted above and not listed; --format json has no more either")
    for why, number in sorted(counts.skipped.items()):
        err.print(f"{number} not judged: {why}")
    out.print(f"{counts.judged} judged, {counts.changed} would be answered otherwise")


async def _judged(
    data: Path, wanted: Sought, settings: Settings, loaded: loading.Decisions, counts: Rejudged
) -> list[Changed]:
    """The first changes, and all of them counted."""
    changes: list[Changed] = []
    with reading(data) as (desk, keys), progress() as bar:
        task = bar.add_task("judging", total=desk.read(partial(browsing.count, wanted)))
        async with rejudging.bench(settings, loaded) as gateway:
            for found in entries(desk, wanted, keys):
                async for one in rejudging.rejudged(gateway, found):
                    counts.count(one)
                    bar.advance(task)
                    if isinstance(one, Changed) and len(changes) < MOST_SHOWN:
                        changes.append(one)
    return changes


def purge(
    rules: Rules = None,
    style: Style = "text",
    data: Data = DATA,
    *,
    rehearse: Annotated[bool, typer.Option("--dry-run", help="Take nothing out: tell what would be.")] = False,
) -> None:
    """Take out what need be kept no longer, by what domains say (`keep refused for 30 days`).

    A running gateway does this by itself, every hour. Never taken out is what is in hand or queued, and no audit.

    Example: `gateway journal purge --dry-run`

    Example: `gateway journal purge`
    """
    settings = load(data=data)
    decided = _rules(rules or settings.rules, settings)
    now = datetime.now(UTC)
    with reading(data) if rehearse else writing(data) as (desk, _):
        overs = tuple(planned(decided, desk.read(purging.domains), now))
        counts = [desk.read(partial(purging.counted, over, now)) for over in overs]
        if not rehearse:
            _take_out(desk, counts, settings.data, now)
    told = [one for one in counts if one.number]
    if style == "json":
        sys.stdout.write(shown.as_json([shown.counted(one) for one in told]))
        return
    print_table(
        ("domain", "outcome", "received before", "count", "oldest"),
        [(c.over.domain, c.over.state, c.over.before.isoformat()[:19], str(c.number), c.first or "") for c in told],
    )
    total = sum(one.number for one in told)
    out.print(f"{total} submissions {'would be' if rehearse else 'were'} taken out")


def _rules(folder: Path, settings: Settings) -> RuleSet:
    """The rules of a folder, without what converts.

    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    found = load_rules(folder, loading.vocabulary(settings.specs))
    if found.rules is None:
        raise loading.NotLoaded(found.diagnostics)
    return found.rules


def _take_out(desk: Desk, counts: Sequence[purging.Count], data: Path, now: datetime) -> None:
    with progress() as bar:
        task = bar.add_task("purging", total=sum(one.number for one in counts))
        for one in counts:
            while receipts := desk.change(partial(purging.purge, one.over, now)):
                for receipt in receipts:
                    kept_files.drop(data / FILES, receipt)
                bar.advance(task, len(receipts))
        for step in (purging.release, purging.forget):
            while desk.change(partial(step, now)) == purging.AT_ONCE:
                pass


def rekey(data: Data = DATA) -> None:
    """Seal every payload with the first of the keys, and need the others no longer.

    It needs the gateway stopped, for one that runs may seal with another key meanwhile.

    Example: `gateway journal rekey`
    """
    settings = load(data=data)
    keys = keys_of(settings)
    if not keys:
        stop("no key is configured: `gateway journal new-key FILE` makes one; then set journal_key_file to that file")
    with writing(data) as (desk, _):
        if not desk.alone:
            stop("a gateway uses this journal: stop it (and all others on the same database), then seal it anew")
        desk.change(partial(rekeying.begun, keys))
        changed = 0
        with progress() as bar:
            task = bar.add_task("sealing", total=None)
            for column in rekeying.COLUMNS:
                last: int | None = 0
                while last is not None:
                    done = desk.change(partial(rekeying.rekey, column, keys, last))
                    last, changed = done.last, changed + done.changed
                    bar.update(task, completed=changed)
            folder = settings.data / FILES
            for receipt in kept_files.receipts(folder):
                changed += kept_files.sealed_anew(keys, folder, receipt)
                bar.update(task, completed=changed)
        desk.change(partial(rekeying.ended, keys))
    out.print(f"{changed} payloads are sealed anew; key {keys[0].name} is the only one that the journal needs")


def add_key(
    file: Annotated[Path, typer.Argument(help="The file that journal_key_file names, or is to name.")],
    *,
    behind: Annotated[
        bool, typer.Option("--behind", help="Behind the others: known to all gateways before one seals with it.")
    ] = False,
) -> None:
    """Put a new key into a file of keys, before those that are there. Keep a copy of the file elsewhere.

    What is sealed with a key that is lost is lost. After this, start the gateway anew; `gateway journal rekey` then
    makes the older keys needless. Several gateways need the key --behind in all files first.

    Example: `gateway journal new-key data/journal.keys`
    """
    make_folder(file.parent)
    there = file.read_text("utf-8") if file.exists() else ""
    if there.strip():
        read_keys(there)
    key, line = key_file.new_key()
    told = f"{line} # {key.name} of {datetime.now(UTC).date()}\n"
    write_private(file, (there.rstrip("\n") + "\n" * bool(there) + told if behind else told + there).encode())
    out.print(f"key {key.name} is in {file}")
