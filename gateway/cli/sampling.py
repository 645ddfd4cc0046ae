"""`gateway sample`: valid and faulty samples, by the rules and the dictionary."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import loading, samples, sampling
from gateway.cli.console import err, stop
from gateway.cli.keeping import keeping
from gateway.config import load


def sample(
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="ADT^A01, Bundle, ed-attendances: what the domain accepts.")
    ],
    domain: Annotated[str, typer.Option(help="The domain by whose rules it is made.")],
    count: Annotated[int, typer.Option(min=1, help="How many, each of another person.")] = 1,
    principal: Annotated[
        str | None, typer.Option(help="Who sends it. Default: the first that the registry lets send this.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same samples.")] = 1,
    faulty: Annotated[
        str | None, typer.Option(metavar="CHECK|all", help="With one fault, by which this check refuses it.")
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for a file each. Default: standard output.")
    ] = None,
) -> None:
    """Make valid messages, resources or rows of invented people, by the rules and the dictionary; or faulty ones.

    Several messages on standard output are a batch, several rows a file, several resources a line each. One seed is
    about the same people in every type, so a discharge follows an admission.

    Example: `gateway sample ADT^A01 --domain emergency-care > a01.hl7`

    Example: `gateway sample ed-attendances --domain emergency-care --count 500 --out samples`

    Example: `gateway sample ADT^A03 --domain emergency-care --faulty all --out samples`
    """
    settings = load()
    loaded = loading.decisions(settings.rules, settings.specs, keeping())
    try:
        sampler = samples.sampler(loaded, settings.specs, domain, kind, principal=principal,
                                  environment=settings.environment)  # fmt: skip
        found = samples.made(sampler, seed, count, faulty, lambda words: err.print(f"left out: {words}"))
    except (sampling.NotSampled, *sampling.MISTAKES) as fault:
        stop(str(fault))
    if out_folder is None:
        sys.stdout.buffer.write(sampler.joined(found))
        return
    for path in samples.written(sampler, found, out_folder):
        err.print(str(path))
