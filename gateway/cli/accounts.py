"""`gateway rules explain`, `show` and `diff`: why, who can do what, and what another rule set changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import explaining, loading, rules
from gateway.cli.console import DATA, Data, err, out, show, stop
from gateway.cli.keeping import keeping
from gateway.config import REPOSITORY, load
from gateway.explaining import Explained, Question
from gateway.finding import Finding
from gateway.rules import RuleSet
from gateway.rules.account import data as account_data
from gateway.rules.account import page, told
from gateway.rules.account import show as table
from gateway.rules.account.change import Change
from gateway.rules.account.difference import Difference, difference

Folder = Annotated[Path, typer.Option("--rules", help="Folder of rule files.")]
STYLES = {"": "", "head": "bold", "good": "green", "bad": "red", "dim": "dim"}
WIDE = 160  # where no terminal says how wide it is
MARKS = {"gain": ("+", "green"), "lose": ("-", "red"), "change": ("~", "yellow")}
AREAS = {
    "who": "who gains or loses what",
    "checks": "what is checked",
    "routes": "where it goes",
    "domains": "what domains accept",
    "registry": "the registry",
    "rules": "rules",
}


def explain(  # noqa: PLR0913, PLR0917 - one parameter for each fact that can be given
    what: Annotated[str, typer.Argument(metavar="FILE|SEARCH|RECEIPT")],
    folder: Folder = REPOSITORY / "rules",
    principal: Annotated[
        str | None, typer.Option("--from", help="Who asks. Default for a file: the first that may send it.")
    ] = None,
    organisation: Annotated[str | None, typer.Option("--as", help="The organisation that is sent for.")] = None,
    domain: Annotated[
        str | None, typer.Option("--to", help="The domain that is sent to. Default: the one that accepts it.")
    ] = None,
    data_type: Annotated[str | None, typer.Option("--type", help="Hl7v2, Fhir or Csv. Default: by the suffix.")] = None,
    purpose: Annotated[str | None, typer.Option(help="The purpose that is asked for.")] = None,
    user: Annotated[str | None, typer.Option(help="The user that it is asked for.")] = None,
    environment: Annotated[str | None, typer.Option(help="Default: that of the settings.")] = None,
    day: Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The day. Default: today.")] = None,
    returning: Annotated[
        list[Path] | None, typer.Option(help="A resource that the search finds: is it released? May be repeated.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="A resource beside those: a patient, an encounter. May be repeated.")
    ] = None,
    data: Data = DATA,
    style: Annotated[Literal["text", "json", "html"], typer.Option("--format")] = "text",
    *,
    glass: Annotated[bool, typer.Option("--breaking-glass", help="As if a reason to break the glass came.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Of a file with several, all and not the first refused.")
    ] = False,
) -> None:
    """Say why a file, a search or what came under a receipt is permitted, denied or refused.

    What was sent is in the answer: it goes to standard output alone.

    Example: `gateway rules explain rules/samples/emergency-care/refused-a01-bad-nhs-number.hl7`

    Example: `gateway rules explain "Patient?family=Smith" --from dorset-gp --purpose TREAT`

    Example: `gateway rules explain "Encounter?patient=1" --from dorset-gp --format html > why.html`
    """
    settings = load(data=data)
    ready = explaining.desk(_folder(folder), settings.specs, keeping())
    asked = Question(
        principal, organisation, domain, data_type, purpose, user, environment or settings.environment,
        None if day is None else day.date(), glass,
    )  # fmt: skip
    path = Path(what)
    try:
        if path.is_file():
            found = list(ready.file(path, asked))
        elif explaining.is_receipt(what):
            found = list(ready.receipt(settings, what, asked))
        else:
            found = list(ready.searches(what, asked, returning or (), beside or ()))
    except explaining.NotExplained as fault:
        stop(str(fault))
    if not every and len(found) > 1:
        refused = [one for one in found if one.account is None or one.wrong or one.account.effect != "permit"]
        err.print(f"{len(found)} in {path.name}, {len(refused)} refused; with --all each is told")
        found = (refused or found)[:1]
    PRINTED[style](found, ready.rules)


def _as_text(found: Sequence[Explained], rule_set: RuleSet) -> None:
    del rule_set
    for one in found:
        out.print(Text(one.name, style="bold"))
        for finding in one.wrong:
            out.print(Text(_words(finding), style="red"))
        if one.account is not None:
            for line in told.told(one.account):
                out.print(Text(line.text, style=STYLES[line.style]))
            for released in one.released:
                out.print()
                for line in told.release(released):
                    out.print(Text(line.text, style=STYLES[line.style]))
            if not one.account.agrees() or not all(released.agrees() for released in one.released):
                err.print("gateway: this account and the gateway's decision differ; please report it")


def _as_json(found: Sequence[Explained], rule_set: RuleSet) -> None:
    told_of = [
        {
            "name": one.name,
            "wrong": [_words(finding) for finding in one.wrong],
            "account": None if one.account is None else account_data.account(one.account, rule_set.registry),
            "released": [account_data.release(released, rule_set.registry) for released in one.released],
        }
        for one in found
    ]
    sys.stdout.write(json.dumps(told_of[0] if len(told_of) == 1 else told_of, indent=2, ensure_ascii=False) + "\n")


def _as_html(found: Sequence[Explained], rule_set: RuleSet) -> None:
    del rule_set
    body: list[str] = []
    for one in found:
        heading = one.name if one.account is None else page.title(one.account)
        body += [f"<h1>{escape(heading)}</h1>", *page.faults(map(_words, one.wrong))]
        if one.account is not None:
            body += page.account(one.account, one.released)
    sys.stdout.write(page.page(", ".join(dict.fromkeys(one.name for one in found)), body))


PRINTED = {"text": _as_text, "json": _as_json, "html": _as_html}


def _words(finding: Finding) -> str:
    place = f" at {finding.expression}" if finding.expression else ""
    return f"{finding.severity}[{finding.rule or finding.code}]{place}: {finding.diagnostics}"


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        stop(f"{folder} is no folder")
    return folder


def _loaded(folder: Path) -> RuleSet:
    found = rules.load(_folder(folder), loading.vocabulary(load().specs))
    if found.rules is None:
        show(found.diagnostics)
        stop(f"the rules of {folder} have errors")
    return found.rules


def show_reach(
    folder: Annotated[Path, typer.Argument(help="Folder of rule files.")] = REPOSITORY / "rules",
    style: Annotated[Literal["table", "csv", "html"], typer.Option("--format")] = "table",
    principal: Annotated[str | None, typer.Option(help="Of this principal alone.")] = None,
) -> None:
    """Show who can send or see what, from the rules alone.

    Example: `gateway rules show rules --principal dorset-gp`

    Example: `gateway rules show --format csv > who.csv`
    """
    rule_set = _loaded(folder)
    if principal is not None and principal not in rule_set.registry.principals:
        stop(f"no rule file in {folder} declares a principal {principal}")
    rows = [row for row in table.table(rule_set) if principal in {None, row.principal}]
    if style == "csv":
        sys.stdout.write(table.as_csv(rows))
    elif style == "html":
        sys.stdout.write(page.table(rows))
    else:
        _print_table(rows)


def _print_table(rows: Sequence[table.Row]) -> None:
    shown = Table(show_lines=True)
    for heading in ("principal", "may", "types", "on condition", "rows", "not shown", "rule"):
        shown.add_column(heading, overflow="fold", no_wrap=heading in {"principal", "rule"})
    for row in rows:
        sending = row.may == ("ingest",)
        may = f"send to {row.domain}" if sending else ", ".join(row.may)
        for_purposes = f" for {row.purposes}" if row.purposes else ""
        conditions = [
            f"as {row.organisations}" if row.organisations else "",
            row.when,
            f"a search gives {row.asking}" if row.asking else "",
            f"unless {row.unless}" if row.unless else "",
            f"a search may give {row.allowing}" if row.allowing else "",
            f"from {row.first} until {row.last} by {row.agreement}{for_purposes}" if row.agreement else "",
            f"review by {row.review_by}" if row.review_by else "",
            f"at most {row.limits}" if row.limits else "",
            f"converted with {row.converted}" if row.converted else "",
            f"kept: {row.kept}" if row.kept else "",
            f"may break the glass{row.glass.removeprefix('yes')}" if row.glass else "",
        ]
        hidden = "\n".join(filter(None, (row.hidden, row.masked)))
        shown.add_row(
            row.principal, may, ", ".join(row.types), "\n".join(filter(None, conditions)), row.rows, hidden, row.rule
        )
    width = None if sys.stdout.isatty() else WIDE
    Console(highlight=False, markup=False, emoji=False, width=width).print(shown)


def show_difference(
    old: Annotated[Path, typer.Argument(help="Folder of rule files as they were.")],
    new: Annotated[Path, typer.Argument(help="Folder of rule files as they are to be.")],
    style: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
) -> None:
    """Say in words who gains or loses what between two rule sets; exit status 1 if anything is otherwise.

    It is worked out from what the rules mean: another layout, order or file makes no difference.

    Example: `gateway rules diff ../main/rules rules`
    """
    found = difference(_loaded(old), _loaded(new))
    if style == "json":
        sys.stdout.write(json.dumps(_difference(found), indent=2, ensure_ascii=False) + "\n")
    else:
        _print_difference(found)
    if found:
        sys.exit(1)


def _difference(found: Difference) -> dict[str, object]:
    return {
        "changes": [
            {
                "kind": c.kind, "area": c.area, "sentence": c.sentence, "principals": list(c.who),
                "actions": list(c.actions), "types": list(c.types),
            }
            for c in found.changes
        ],
        "rewritten": [
            {"id": r.id, "oldPlace": r.old_place, "newPlace": r.new_place, "old": r.old, "new": r.new}
            for r in found.rewritten
        ],
    }  # fmt: skip


def _print_difference(found: Difference) -> None:
    if not found:
        out.print("no difference")
    for area, heading in AREAS.items():
        changes = [change for change in found.changes if change.area == area]
        if changes:
            out.print(Text(heading, style="bold"))
            for change in changes:
                _print_change(change)
    for rewritten in found.rewritten:
        out.print(Text(f"\n{rewritten.id} says otherwise", style="bold"))
        for mark, style, place, source in (
            ("-", "red", rewritten.old_place, rewritten.old),
            ("+", "green", rewritten.new_place, rewritten.new),
        ):
            out.print(Text(f"{mark} {place}", style="dim"))
            for line in source.splitlines():
                out.print(Text(f"{mark} {line}", style=style))


def _print_change(change: Change) -> None:
    mark, style = MARKS[change.kind]
    out.print(Text(f"{mark} {change.sentence}", style=style))
