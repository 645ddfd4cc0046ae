"""`gateway rules test`: tests in the language, run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import trials
from gateway.cli.console import err, out, stop
from gateway.cli.keeping import keeping
from gateway.config import REPOSITORY, load
from gateway.rules.trial import cover, junit, suite


def run_tests(
    folder: Annotated[Path, typer.Argument(help="Folder of rule files.")] = REPOSITORY / "rules",
    *,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Tell which conditions did not come out both ways, and why.")
    ] = False,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
) -> None:
    """Run the tests that stand beside the rules; exit status 1 if any fails, or if there is none.

    Example: `gateway rules test rules --coverage`
    """
    if not folder.is_dir():
        stop(f"{folder} is no folder")
    ready = trials.suite(folder, load().specs, keeping())
    if not ready.trials:
        stop(f'{folder} has no tests; write one beside a rule: test "what is to be so" ...')
    results = tuple(suite.results(ready.trials, ready.world))
    for result in results:
        for words in result.failures:
            out.print(words + "\n")
    if coverage:
        out.print(cover.shown(cover.coverage(ready.world.rules, [a for one in results for a in one.answers])))
    if junit_file is not None:
        junit_file.write_bytes(junit.written(results))
    failed = sum(bool(result.failures) for result in results)
    seconds = sum(result.seconds for result in results)
    err.print(f"{len(results)} tests, {failed} failed, in {seconds:.2f} s")
    if failed:
        sys.exit(1)
