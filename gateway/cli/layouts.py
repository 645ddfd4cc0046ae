"""`gateway rules fmt`, `card` and `textmate`: the layout of rule files, and what is made of the language itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.console import err, show, stop
from gateway.config import REPOSITORY
from gateway.language import messages
from gateway.rules.card import card
from gateway.rules.layout import lay
from gateway.rules.load import SUFFIX, decoded
from gateway.rules.textmate import textmate
from gateway.source import Diagnostic, Source, Span


def format_rules(
    paths: Annotated[list[Path] | None, typer.Argument(help="Rule files, or folders of them. Default: rules/.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say which files would change.")] = False,
) -> None:
    """Give rule files their one layout; comments stay. A file with errors is left as it is, exit status 1.

    Example: `gateway rules fmt rules`

    Example: `gateway rules fmt --check rules`
    """
    files = tuple(_files(paths or [REPOSITORY / "rules"]))
    broken: list[Diagnostic] = []
    changed: list[Path] = []
    for file in files:
        found = file.read_bytes()
        try:
            text = decoded(found)
        except UnicodeDecodeError:
            broken.append(messages.UNREADABLE_FILE.at(Span(Source(str(file), ""), 0, 0)))
            continue
        laid = lay(Source(str(file), text))
        if laid.text is None:
            broken += laid.diagnostics
        elif (written := laid.text.encode()) != found:
            changed.append(file)
            if not check:
                file.write_bytes(written)
    show(tuple(broken))
    for file in changed:
        err.print(f"{file}: {'would change' if check else 'laid out anew'}")
    if broken:
        stop("files with errors are left as they are")
    if check and changed:
        stop(f"{len(changed)} of {len(files)} not in their layout: run `gateway rules fmt`")


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob(f"*{SUFFIX}"))
        elif path.exists():
            yield path
        else:
            stop(f"there is no {path}")


Write = Annotated[Path | None, typer.Option(help="Write it to a file.")]
Check = Annotated[Path | None, typer.Option(help="Only say whether a file is what would be written.")]


def print_card(write: Write = None, check: Check = None) -> None:
    """Print the language on one page, made from its grammar and its table of facts.

    Example: `gateway rules card --check rules/REFERENCE.md`
    """
    _made(card(), "card", write, check)


def print_textmate(write: Write = None, check: Check = None) -> None:
    """Print the TextMate grammar by which editors colour rule files, made from the language's own words.

    Example: `gateway rules textmate --check gateway/editor/syntaxes/rules.tmLanguage.json`
    """
    _made(json.dumps(textmate(), indent=2) + "\n", "textmate", write, check)


def _made(text: str, command: str, write: Path | None, check: Path | None) -> None:
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(text, "utf-8")
    elif check is None:
        sys.stdout.write(text)
    elif not check.exists() or check.read_text("utf-8") != text:
        stop(f"{check} is not what the language makes now: run `gateway rules {command} --write {check}`")
