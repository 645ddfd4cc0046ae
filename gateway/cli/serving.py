"""`gateway serve` and `gateway demo`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from gateway import assemble, demo, loading, playing, sampling, serve, trust
from gateway.app import application
from gateway.cli.console import DATA, URL, Data, Url, err, show, stop
from gateway.cli.keeping import keeping
from gateway.config import CLIENTS, load
from gateway.guard import Limits, guarded
from gateway.journal.looking import check_keys
from gateway.kept import Kept
from gateway.listeners import listeners


def serve_command(
    data: Data = DATA,
    host: Annotated[str | None, typer.Option(help="Address to listen on; plain HTTP on loopback alone.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="Enrol the demo principals, and say what to do next.")
    ] = False,
) -> None:
    """Serve the gateway.

    Example: `gateway serve --demo --data data --port 8000`
    """
    serve.load_without_pauses()
    settings = load(data=data, host=host, port=port)
    script = demo.script(settings.rules) if with_demo else None
    if script is not None:
        # what it writes into the data folder is settings too; the host may come from any place that settings come from
        demo.prepare(data, settings.host, script)
        settings = load(data=data, host=host, port=port)
    keep = Kept(settings.data / "cache")
    loaded = loading.decisions(settings.rules, settings.specs, keep)
    show(loaded.warnings)
    serve.log_as_json()
    words = f"serves {settings.public_url}" if script is None else demo.welcome(data, settings.public_url, script)
    web = application(lambda: assemble.opened(settings, loaded, own_writer=True, keep=keep))

    def hangup() -> None:
        web.state.reload.ask()  # which is there once it is served

    def refused(rule: str) -> None:
        if (gateway := getattr(web.state, "gateway", None)) is not None:
            gateway.watch.counts.turned_away(rule)

    started = partial(err.print, words)
    limits = Limits(
        connections=settings.connections, head_within=settings.head_within, body_rate=settings.body_rate,
        body_window=settings.body_within, idle_within=settings.idle_within,
    )  # fmt: skip
    trust.check(settings, loaded.rules)
    check_keys(settings)
    beside = listeners(settings)
    plain = settings.port if settings.tls_certificate is None else None
    if not serve.run(
        web, settings.host, plain, started, hangup=hangup, beside=beside,
        guard=guarded(serve.room_for(limits), refused),
    ):  # fmt: skip
        stop(f"could not start on {settings.host}:{settings.port}; the lines above say why")


def demo_command(data: Data = DATA, url: Url = URL) -> None:
    """Send samples of every kind to a running demo gateway, and find each of them by a partner's search.

    Example: `gateway demo --data data --url http://localhost:8000`
    """
    settings = load(data=data)
    script = demo.script(settings.rules)
    if not (data / CLIENTS / f"{script.engine.principal}.json").exists():
        stop(f"{data} is no demo data folder: start `make run` first, with the same DATA")
    loaded = loading.decisions(settings.rules, settings.specs, keeping())
    try:
        went = playing.play(script, loaded, settings.specs, data, url, Console(soft_wrap=False, highlight=False))
    except (sampling.NotSampled, *sampling.MISTAKES) as fault:
        stop(str(fault))
    if not went:
        stop("not everything went as the script of the demo says; the answers above say why")
