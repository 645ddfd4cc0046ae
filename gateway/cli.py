"""Every command of the gateway, thin: what is done stands in the modules that it calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import simplejson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gateway import assemble, demo, offline, playing, rules, samples, sampling, sending, serve
from gateway.app import application
from gateway.client import Credential, CredentialError, GatewayClient, TokenRefused, Unreachable, load_credential
from gateway.config import REPOSITORY, ConfigError, Settings, load
from gateway.fhir import build as fhir_tables
from gateway.finding import Finding
from gateway.hl7v2 import dictionary
from gateway.identity import (
    BadKeys,
    BadSecret,
    Credentials,
    CredentialsError,
    KeysError,
    new_client_key,
    new_secret,
    public_set,
)  # fmt: skip
from gateway.identity.private_file import make_folder, write_private
from gateway.journal import JournalUnavailable
from gateway.kept import Kept
from gateway.source import Diagnostic, nearest, render
from gateway.specs import SpecsError
from gateway.upstream import store

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False,
                  help="A declarative FHIR facade: HL7 v2 in, FHIR R4 out, decided by rules.")  # fmt: skip
principals = typer.Typer(no_args_is_help=True, help="Credentials of the principals that the rules declare.")
specs = typer.Typer(no_args_is_help=True, help="The standards' tables in specs/.")
rules_app = typer.Typer(no_args_is_help=True, help="Rule files.")
store_app = typer.Typer(no_args_is_help=True, help="The embedded FHIR store.")
app.add_typer(principals, name="principals")
app.add_typer(specs, name="specs")
app.add_typer(rules_app, name="rules")
app.add_typer(store_app, name="store")

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

FAULTS = (
    ConfigError, CredentialError, CredentialsError, BadKeys, BadSecret, KeysError, TokenRefused, JournalUnavailable,
    SpecsError,
)  # fmt: skip

Data = Annotated[Path, typer.Option(envvar="GATEWAY_DATA", help="The data folder.")]
Url = Annotated[str, typer.Option(envvar="GATEWAY_URL", help="The gateway's address.")]
Principal = Annotated[str, typer.Option(help="A principal that the rules declare and that is enrolled.")]
Key = Annotated[
    Path | None, typer.Option(help="Its private JWK, or JSON with client_secret. Default: DATA/clients/PRINCIPAL.json.")
]
CSV = ".csv"
DATA, URL = Path("data"), "http://localhost:8000"


def main() -> None:
    """Run the command line.

    Errors: exit status 1 with words for what went wrong, 2 for wrong usage.
    """
    try:
        app()
    except assemble.NotLoaded as fault:
        _show(fault.diagnostics)
        _stop("rules or maps have errors, so nothing is served from them")
    except Unreachable as fault:
        _stop(f"no gateway answers there ({type(fault).__name__}): is it running, and is --url right?")
    except OSError as fault:
        _stop(f"{fault.filename}: {fault.strerror}" if fault.filename is not None else str(fault))
    except FAULTS as fault:
        _stop(str(fault))


def _stop(words: str) -> NoReturn:
    err.print(f"gateway: {words}")
    sys.exit(1)


def _show(diagnostics: tuple[Diagnostic, ...]) -> None:
    for diagnostic in diagnostics:
        err.print(render(diagnostic) + "\n")


@app.command("serve")
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
    loaded = assemble.decisions(settings.rules, settings.specs, Kept(settings.data / "cache"))
    _show(loaded.warnings)
    serve.log_as_json()
    words = f"serves {settings.public_url}" if script is None else demo.welcome(data, settings.public_url, script)
    tls = (settings.tls_certificate, settings.tls_key) if settings.tls_certificate and settings.tls_key else None
    web = application(lambda: assemble.opened(settings, loaded, own_writer=True))
    if not serve.run(web, settings.host, settings.port, lambda: err.print(words), tls=tls):
        _stop(f"could not start on {settings.host}:{settings.port}; the lines above say why")


@app.command("demo")
def demo_command(data: Data = DATA, url: Url = URL) -> None:
    """Send samples of every kind to a running demo gateway, and find each of them by a partner's search.

    Example: `gateway demo --data data --url http://localhost:8000`
    """
    settings = load(data=data)
    script = demo.script(settings.rules)
    if not (data / assemble.CLIENTS / f"{script.engine.principal}.json").exists():
        _stop(f"{data} is no demo data folder: start `make run` first, with the same DATA")
    loaded = assemble.decisions(settings.rules, settings.specs)
    try:
        went = playing.play(script, loaded, settings.specs, data, url, Console(soft_wrap=False, highlight=False))
    except (sampling.NotSampled, *sampling.MISTAKES) as fault:
        _stop(str(fault))
    if not went:
        _stop("not everything went as the script of the demo says; the answers above say why")


@principals.command()
def enrol(
    name: str,
    data: Data = DATA,
    jwks: Annotated[Path | None, typer.Option(help="The principal's public JWKS.")] = None,
    *,
    secret: Annotated[bool, typer.Option("--secret", help="Make a secret, and print it once.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a key pair; the private JWK goes to DATA/clients/.")
    ] = False,
) -> None:
    """Give a principal credentials.

    Example: `gateway principals enrol uhd-mirth --jwks mirth.jwks.json --data data`
    """
    if sum((jwks is not None, secret, new_key)) != 1:
        _stop("give exactly one of --jwks FILE, --secret and --new-key")
    _check_declared(name, load(data=data).rules)
    credentials = Credentials(data / assemble.CREDENTIALS)
    if jwks is not None:
        credentials.enrol(name, keys=jwks.read_bytes())
    elif secret:
        made = new_secret()
        credentials.enrol(name, secret=made)
        err.print("the secret is shown this once:")
        out.print(made)
    else:
        private = new_client_key()
        credentials.enrol(name, keys=public_set(private))
        path = data / assemble.CLIENTS / f"{name}.json"
        make_folder(path.parent)
        write_private(path, simplejson.dumps(private).encode())
        err.print(f"private key in {path}")
    err.print(f"enrolled {name}; the rules say what it may do")


def _check_declared(name: str, folder: Path) -> None:
    """Stop where no rule file declares a principal: what is misspelt here would only be found out by its 403."""
    ruleset = rules.load(folder, assemble.vocabulary(load().specs)).rules
    if ruleset is not None and name not in ruleset.registry.principals:
        near = nearest(name, ruleset.registry.principals)
        hint = f"did you mean {near}?" if near else f"declare it there first: principal {name} ..."
        _stop(f"no rule file in {folder} declares a principal of the name {name}; {hint}")


@principals.command("list")
def list_principals(data: Data = DATA) -> None:
    """List who is enrolled, with which credentials.

    Example: `gateway principals list --data data`
    """
    table = Table("principal", "enrolled", "keys", "secret", "revoked")
    for one in Credentials(data / assemble.CREDENTIALS).list():
        kids = ", ".join(key.kid[:12] for key in one.keys)
        table.add_row(one.principal, one.enrolled, kids, "yes" if one.secret else "", one.revoked or "")
    Console().print(table)


@principals.command()
def revoke(name: str, data: Data = DATA) -> None:
    """Take a principal's credentials away; a running gateway refuses its tokens at once.

    Example: `gateway principals revoke uhd-mirth --data data`
    """
    Credentials(data / assemble.CREDENTIALS).revoke(name)
    err.print(f"revoked {name}")


@specs.command("build")
def build_specs(
    reference: Annotated[
        Path | None, typer.Option(help="Folder with the official R4 tables, to build specs/fhir from.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether a build would change anything.")] = False,
) -> None:
    """Write the HL7 v2 dictionaries from hl7apy, and with --reference the FHIR R4 tables.

    Example: `gateway specs build --check`
    """
    root = REPOSITORY / "specs"
    dictionaries, tables = root / "hl7v2" / "dictionary", root / "fhir"
    if not check:
        dictionary.write(dictionaries)
        if reference is not None:
            fhir_tables.write(reference, tables)
        return
    stale = [*dictionary.drift(dictionaries), *(fhir_tables.drift(reference, tables) if reference else ())]
    if stale:
        _stop(f"specs/ is not what `gateway specs build` makes: {', '.join(map(str, stale))}")


def _credential(data: Path, principal: str, key: Path | None) -> Credential:
    return load_credential(key or data / assemble.CLIENTS / f"{principal}.json")


@app.command()
def token(principal: Principal, data: Data = DATA, url: Url = URL, key: Key = None) -> None:
    """Print an access token from the gateway's issuer, alone on the last line.

    Example: `gateway token --principal demo-engine --data data | tail -1`
    """
    with GatewayClient(url, principal, _credential(data, principal, key)) as client:
        sys.stdout.write(client.token() + "\n")


@app.command()
def send(  # noqa: PLR0913, PLR0917 - one parameter for each header and option
    files: list[Path],
    principal: Principal,
    domain: Annotated[str, typer.Option(help="The header source-domain.")],
    organisation: Annotated[str, typer.Option(help="The header organisation-code: an ODS code.")],
    data_type: Annotated[str, typer.Option("--type", help="The header data-type.")] = "Hl7v2",
    data: Data = DATA,
    url: Url = URL,
    key: Key = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The header Idempotency-Key of one Fhir or Csv file. Default: none.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and convert, store nothing.")] = False,
) -> None:
    """Send files, print what comes back; exit status 1 if any was refused, or any message of a batch.

    Example: `gateway send a01.hl7 --principal demo-engine --domain emergency-care --organisation r0d`

    Example: `gateway send attendances.csv --type Csv --principal demo-engine --domain emergency-care
    --organisation r0d` (with a bar; a long file's receipt is followed to its end)

    Example: `gateway send visit.json --type Fhir --idempotency-key visit-17 --principal demo-engine
    --domain emergency-care --organisation r0d`
    """
    if data_type == "Csv":
        _send_csv(files, client=GatewayClient(url, principal, _credential(data, principal, key)), domain=domain,
                  organisation=organisation, key=idempotency_key, dry_run=dry_run)  # fmt: skip
        return
    if idempotency_key is not None and (data_type == "Hl7v2" or len(files) > 1):
        _stop("--idempotency-key names one Fhir or Csv file; an HL7 v2 message has its own in MSH-10")
    refused = total = 0
    with GatewayClient(url, principal, _credential(data, principal, key)) as client:
        for file in files:
            reply = client.send(
                file.read_bytes(), domain=domain, organisation=organisation, data_type=data_type, dry_run=dry_run,
                key=idempotency_key,
            )  # fmt: skip
            refused += reply.refused
            count = max(1, len(reply.acknowledgements))
            total += count
            batch = f", {count} messages, {reply.refused} refused" if count > 1 else ""
            err.print(f"{file}: HTTP {reply.status}{batch}")
            out.print(reply.text)
    if refused:
        _stop(f"{refused} of {total} refused")


def _send_csv(
    files: list[Path], *, client: GatewayClient, domain: str, organisation: str, key: str | None, dry_run: bool
) -> None:
    if key is not None and len(files) > 1:
        _stop("--idempotency-key names one file")
    refused = 0
    with client:
        for file in files:
            reply, words, accepted = sending.send_csv(
                client, file, err, domain=domain, organisation=organisation, key=key, dry_run=dry_run
            )
            refused += not accepted
            err.print(f"{file}: HTTP {reply.status}")
            out.print(words)
    if refused:
        _stop(f"{refused} of {len(files)} refused")


@app.command()
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
    loaded = assemble.decisions(settings.rules, settings.specs)
    try:
        sampler = samples.sampler(loaded, settings.specs, domain, kind, principal=principal,
                                  environment=settings.environment)  # fmt: skip
        found = samples.made(sampler, seed, count, faulty, lambda words: err.print(f"left out: {words}"))
    except (sampling.NotSampled, *sampling.MISTAKES) as fault:
        _stop(str(fault))
    if out_folder is None:
        sys.stdout.buffer.write(sampler.joined(found))
        return
    for path in samples.written(sampler, found, out_folder):
        err.print(str(path))


@app.command()
def convert(
    files: list[Path],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for NAME.fhir.json.")],
    organisation: Annotated[
        str | None, typer.Option(help="ODS code of the sender. Default: the message's MSH-4.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of CSV files without a header line.")] = None,
) -> None:
    """Convert messages to FHIR without a server; a faulty one is reported and the rest go on.

    A FHIR resource or Bundle becomes what would be delivered of it, which takes the sender's code.

    Example: `gateway convert messages/*.hl7 --out converted`

    A CSV file becomes NAME.fhir.ndjson, a resource a line.

    Example: `gateway convert visit.json --organisation r0d --out converted`

    Example: `gateway convert attendances.csv --organisation r0d --out converted`
    """
    settings = load()
    loaded = assemble.decisions(settings.rules, settings.specs)
    out_folder.mkdir(parents=True, exist_ok=True)
    faulty, made = 0, set[str]()
    for file in track(files, description="converting", console=err, transient=True):
        is_rows = file.suffix.lower() == CSV
        name = f"{file.stem}.fhir.{'ndjson' if is_rows else 'json'}"
        if name in made:
            err.print(f"{file}: another file of this run is {name} already; convert it into a folder of its own")
            faulty += 1
            continue
        try:
            if is_rows:
                made.add(name)
                faulty += not _convert_rows(file, out_folder / name, loaded, organisation, layout)
                continue
            converted = offline.convert(
                file.read_bytes(), loaded.maps, loaded.elements, organisation=organisation,
                rules_digest=loaded.rules.digest,
            )  # fmt: skip
        except OSError as fault:
            err.print(f"{file}: {fault.strerror or fault}")
            faulty += 1
            continue
        for finding in converted.findings:
            err.print(f"{file}: {_words(finding)}")
        if converted.bundle is None:
            faulty += 1
        else:
            made.add(name)
            (out_folder / name).write_bytes(converted.bundle)
    if faulty:
        _stop(f"{faulty} of {len(files)} could not be converted")


def _convert_rows(
    file: Path, target: Path, loaded: assemble.Decisions, organisation: str | None, layout: str | None
) -> bool:
    """Whether a CSV file was converted without a faulty row."""
    if organisation is None:
        err.print(f"{file}: a CSV file does not say who sends it: give --organisation with the sender's ODS code")
        return False
    if layout is not None and layout not in loaded.row_maps:
        err.print(f"{file}: there is no layout {layout}; known: {', '.join(loaded.row_maps)}")
        return False
    faults = 0
    for finding in offline.convert_rows(
        file, target, loaded.row_maps, organisation=organisation, layout=layout, rules_digest=loaded.rules.digest
    ):
        faults += 1
        err.print(f"{file}: {_words(finding)}")
    return not faults


def _words(finding: Finding) -> str:
    place = f" at {finding.expression}" if finding.expression else ""
    return f"{finding.severity}[{finding.rule or finding.code}]{place}: {finding.diagnostics}"


@rules_app.command("check")
def check_rules(folder: Annotated[Path, typer.Argument(help="Folder of rule files.")] = REPOSITORY / "rules") -> None:
    """Check rule files: names, types, paths; exit status 1 with any error.

    Example: `gateway rules check rules`
    """
    if not folder.is_dir():
        _stop(f"{folder} is no folder")
    loaded = rules.load(folder, assemble.vocabulary(load().specs))
    _show(loaded.diagnostics)
    if loaded.rules is None:
        sys.exit(1)
    err.print(f"{folder}: no errors; rule set {loaded.rules.digest[:12]}")


@app.command()
def openapi(
    write: Annotated[Path | None, typer.Option(help="Write the document to a file.")] = None,
    check: Annotated[Path | None, typer.Option(help="Only say whether a file is what would be written.")] = None,
    rules_folder: Annotated[Path, typer.Option("--rules", help="Folder of rule files.")] = REPOSITORY / "rules",
) -> None:
    """Print the OpenAPI document that the rules make.

    Example: `gateway openapi --check openapi/openapi.json`
    """
    settings = Settings(rules=rules_folder, client_secrets=True)
    text = assemble.openapi_text(assemble.decisions(settings.rules, settings.specs), settings)
    if write is not None:
        write.write_text(text, "utf-8")
    elif check is None:
        sys.stdout.write(text)
    elif not check.exists() or check.read_text("utf-8") != text:
        _stop(f"{check} is not what the rules make now: run `gateway openapi --write {check}` and commit it")


@store_app.command("serve")
def serve_store(
    port: Annotated[int, typer.Option(help="Port to listen on, on loopback alone.")],
    data: Data = DATA,
) -> None:
    """Serve the embedded FHIR store alone, without rules, on loopback: for tests and comparison.

    Example: `gateway store serve --port 8090 --data store`
    """
    make_folder(data)
    serve.log_as_json()
    address = f"http://127.0.0.1:{port}"
    if not serve.run(store.app(data / "store.db"), "127.0.0.1", port, lambda: err.print(f"the store serves {address}")):
        _stop(f"could not start on {address}; the lines above say why")
