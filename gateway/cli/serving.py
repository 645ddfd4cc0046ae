"""`gateway serve` and `gateway demo`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from gateway import assemble, demo, loading, playing, sampling, serve, trust
from gateway.app import application
from gateway.cli.console import DATA, URL, Data, Url, err, show, stop, tell
from gateway.cli.keeping import keeping
from gateway.config import CLIENTS, Settings, load
from gateway.guard import Limits, guarded
from gateway.journal.lock import only_holder
from gateway.journal.looking import check_keys
from gateway.journal.opening import FILE
from gateway.kept import Kept
from gateway.listeners import Listener, listeners, operators, plain
from gateway.workers import Supervisor


def serve_command(
    data: Data = DATA,
    host: Annotated[str | None, typer.Option(help="Address to listen on; plain HTTP on loopback alone.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve, for more cores; the journal is on PostgreSQL then.")
    ] = None,
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="Enrol the demo principals, and say what to do next.")
    ] = False,
) -> None:
    """Serve the gateway.

    Example: `gateway serve --demo --data data --port 8000`
    """
    serve.load_without_pauses()
    settings = load(data=data, host=host, port=port, workers=workers)
    script = demo.script(settings.rules) if with_demo else None
    if script is not None:
        # what it writes into the data folder is settings too; the host may come from any place that settings come from
        demo.prepare(data, settings.host, script)
        settings = load(data=data, host=host, port=port, workers=workers)
    keep = Kept(settings.data / "cache")
    loaded = loading.decisions(settings.rules, settings.specs, keep)
    show(loaded.warnings)
    serve.log_as_json()
    words = f"serves {settings.public_url}" if script is None else demo.welcome(data, settings.public_url, script)
    started = partial(err.print, words)
    trust.check(settings, loaded.rules)
    check_keys(settings)
    if settings.workers > 1:
        served = _together(settings, loaded, keep, started)
    else:
        served = _serve(settings, loaded, keep, (*plain(settings), *listeners(settings)), started)
    if not served:
        stop(f"could not start on {settings.host}:{settings.port}; the lines above say why")


def _together(settings: Settings, loaded: loading.Decisions, keep: Kept, started: Callable[[], None]) -> bool:
    """Serve by several processes. Shape: whether all of them ever served."""
    assemble.addresses(settings, loaded.rules)  # whether they can be shared
    alone = only_holder(settings.data / FILE)
    watched = settings.metrics_port
    shared = (*plain(settings), *listeners(settings.model_copy(update={"metrics_port": None})))
    lent = tuple(replace(one, lent=True) for one in shared)

    def work(number: int, serves: Callable[[], None]) -> bool:
        serve.log_as_json(number)
        port = None if watched is None else watched + number - 1
        own = settings.model_copy(update={"metrics_port": port})
        return _serve(own, loaded, keep, (*lent, *operators(own)), serves, number)

    try:
        return Supervisor(settings.workers, work, started, tell).run()
    finally:
        for one in shared:
            one.close()
        os.close(alone)


def _serve(
    settings: Settings, loaded: loading.Decisions, keep: Kept, beside: Sequence[Listener], started: Callable[[], None],
    worker: int | None = None,
) -> bool:  # fmt: skip
    """Serve by this process. Shape: whether it ever served; `worker` of several."""
    web = application(lambda: assemble.opened(settings, loaded, own_writer=True, keep=keep, worker=worker))

    def hangup() -> None:
        web.state.reload.ask()  # which is there once it is served

    def refused(rule: str) -> None:
        if (gateway := getattr(web.state, "gateway", None)) is not None:
            gateway.watch.counts.turned_away(rule)

    limits = Limits(
        connections=settings.connections, head_within=settings.head_within, body_rate=settings.body_rate,
        body_window=settings.body_within, idle_within=settings.idle_within,
    )  # fmt: skip
    guard = guarded(serve.room_for(limits), refused)
    return serve.run(web, settings.host, None, started, hangup=hangup, beside=beside, guard=guard)


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
