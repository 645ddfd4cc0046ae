"""A first look: a data folder with enrolled demo principals, and the script of what they do; `playing.py` plays it.

What the demo is made of stands in `rules/samples/demo.toml` and the samples beside it, not here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import CLIENTS, CREDENTIALS, FILE, ConfigError, is_loopback
from gateway.identity import Credentials, new_secret
from gateway.identity.private_file import make_folder, write_private

SCRIPT = Path("samples") / "demo.toml"


@dataclass(frozen=True, slots=True)
class Engine:
    """The principal that sends, and what it writes into its headers."""

    principal: str
    domain: str
    organisation: str


@dataclass(frozen=True, slots=True)
class Partner:
    """The principal that searches, and the purpose that it asserts."""

    principal: str
    purpose: str
    search: str


@dataclass(frozen=True, slots=True)
class Sending:
    """One submission, made by `gateway sample`, and what is to become of it.

    Shape: `find` are searches with `{patient}` in place of the NHS number; `fault` is the check that the sample breaks,
    `refused` the rule that is to refuse it, both empty for one that is to be taken; `made_for` is another domain than
    the one that it is sent to, empty for none.
    """

    type: str
    domain: str
    seed: int
    find: tuple[str, ...] = ()
    count: int = 1
    fault: str = ""
    refused: str = ""
    made_for: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """What the demo does.

    Shape: `settings` go into the data folder's `gateway.toml`; `samples` is the folder of messages that the welcome
    names one of; `writer` is a principal that stores resources by the facade, where there is one.
    """

    settings: Mapping[str, Any]
    engine: Engine
    partner: Partner
    samples: Path
    writer: str | None = None
    sendings: tuple[Sending, ...] = ()


def script(rules: Path) -> Script:
    """Read the demo's script from a rules folder.

    Errors: ConfigError where it is missing or incomplete.
    """
    path = rules / SCRIPT
    try:
        stored = tomllib.loads(path.read_text("utf-8"))
        engine, partner = Engine(**stored["engine"]), Partner(**stored["partner"])
        writer = stored.get("writer", {}).get("principal")
        sendings = tuple(_sending(one) for one in stored["send"])
        return Script(stored["settings"], engine, partner, rules / "samples" / engine.domain, writer, sendings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} can't be read as the demo's script ({type(error).__name__}: {error}): it needs [settings], "
            "[engine] with principal, domain and organisation, [partner] with principal, purpose and search, and a "
            "[[send]] with type, domain and seed for each submission"
        ) from error


def _sending(stored: Mapping[str, Any]) -> Sending:
    named = {name.replace("-", "_"): value for name, value in stored.items()}
    return Sending(**{**named, "find": tuple(stored.get("find", ()))})


def prepare(data: Path, host: str, demo: Script) -> None:
    """Make a data folder for the demo, or leave the one that is there as it is.

    Errors: ConfigError for a host that isn't loopback: demo secrets are for this machine alone.
    """
    if not is_loopback(host):
        raise ConfigError(f"the demo runs on loopback alone, not on {host}: its secrets are printed for all to see")
    make_folder(data)
    file = data / FILE
    if not file.exists():
        file.write_text(_toml(demo.settings), "utf-8")
    clients = data / CLIENTS
    make_folder(clients)
    credentials = Credentials(data / CREDENTIALS)
    principals = (demo.engine.principal, demo.partner.principal, *((demo.writer,) if demo.writer else ()))
    for principal in principals:
        kept = clients / f"{principal}.json"
        if credentials.find(principal) is None or not kept.exists():
            secret = new_secret()
            credentials.enrol(principal, secret=secret)
            write_private(kept, json.dumps({"client_secret": secret}).encode())


def _toml(values: Mapping[str, Any]) -> str:
    """Settings as TOML: plain values, then tables of plain values. Source: https://toml.io/en/v1.0.0."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    tables = [
        f"\n[{name}]\n" + "\n".join(f"{key} = {json.dumps(item)}" for key, item in value.items())
        for name, value in values.items()
        if isinstance(value, dict)
    ]
    return "\n".join(["# Written by `gateway serve --demo`; yours to change.", *plain, *tables]) + "\n"


def secret_of(data: Path, principal: str) -> str:
    """Demo secret of a principal, for people to type into a page."""
    return str(json.loads((data / CLIENTS / f"{principal}.json").read_text("utf-8"))["client_secret"])


def welcome(data: Path, url: str, demo: Script) -> str:
    """What to do next, with lines that can be pasted as they are."""
    sample = next(iter(sorted(demo.samples.glob("accepted-*"))), demo.samples / "message.hl7")
    shown = sample.relative_to(Path.cwd()) if sample.is_relative_to(Path.cwd()) else sample
    tool = f".venv/bin/gateway token --data {data} --url {url} --principal"
    writes = (
        f"\n                 {demo.writer} (writes)    secret {secret_of(data, demo.writer)}" if demo.writer else ""
    )
    return f"""
The gateway serves {url}

  in a browser   {url}/swagger/index.html
  to sign in     {demo.engine.principal} (sends)     secret {secret_of(data, demo.engine.principal)}
                 {demo.partner.principal} (searches) secret {secret_of(data, demo.partner.principal)}{writes}
  everything     make demo DATA={data} PORT={url.rpartition(":")[2]}    (in a second terminal)
  by hand        curl -i -H "Authorization: Bearer $({tool} {demo.engine.principal} | tail -1)" \\
                   -H 'source-domain: {demo.engine.domain}' -H 'organisation-code: {demo.engine.organisation}' \\
                   -H 'data-type: Hl7v2' -H 'Content-Type: text/plain' --data-binary @{shown} '{url}/$ingest'
                 curl -H "Authorization: Bearer $({tool} {demo.partner.principal} | tail -1)" \\
                   -H 'purpose-of-use: {demo.partner.purpose}' '{url}/{demo.partner.search}'
"""
