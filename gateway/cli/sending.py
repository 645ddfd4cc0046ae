"""`gateway token` and `gateway send`: what an engine does, from a command line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway import sending
from gateway.cli.console import DATA, URL, Data, Url, err, out, stop
from gateway.client import GatewayClient, load_credential, tls_of
from gateway.config import CLIENTS

Principal = Annotated[str, typer.Option(help="A principal that the rules declare and that is enrolled.")]
Key = Annotated[
    Path | None, typer.Option(help="Its private JWK, or JSON with client_secret. Default: DATA/clients/PRINCIPAL.json.")
]
Certificate = Annotated[
    Path | None,
    typer.Option(help="Its certificate in PEM, for mutual TLS. It proves the principal alone, or beside a --key."),
]
CertificateKey = Annotated[
    Path | None, typer.Option(help="The certificate's key in PEM. Default: in the certificate's file.")
]
Authority = Annotated[
    Path | None, typer.Option(help="Certificates in PEM of whom to trust. Default: the machine's own.")
]
Audience = Annotated[
    str | None,
    typer.Option(help="The token endpoint's public address, where --url has another: a --key signs for it."),
]


@dataclass(frozen=True, slots=True)
class _Who:
    """Who asks, of whom, and what it shows."""

    principal: str
    data: Path
    url: str
    key: Path | None
    certificate: Path | None
    certificate_key: Path | None
    authority: Path | None
    audience: str | None

    def client(self) -> GatewayClient:
        """A client of the gateway. Errors: CredentialError."""
        tls = tls_of(self.certificate, self.certificate_key, self.authority)
        alone = self.certificate is not None and self.key is None
        own = None if alone else load_credential(self.key or self.data / CLIENTS / f"{self.principal}.json")
        return GatewayClient(self.url, self.principal, own, audience=self.audience, tls=tls)


def token(
    principal: Principal,
    data: Data = DATA,
    url: Url = URL,
    key: Key = None,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    authority: Authority = None,
    audience: Audience = None,
) -> None:
    """Print an access token from the gateway's issuer, alone on the last line.

    Example: `gateway token --principal demo-engine --data data | tail -1`

    Example: `gateway token --principal uhd-mirth --url https://localhost:8443 --certificate certs/uhd-mirth.pem
    --certificate-key certs/uhd-mirth.key --authority certs/authority.pem`
    """
    with _Who(principal, data, url, key, certificate, certificate_key, authority, audience).client() as client:
        sys.stdout.write(client.token() + "\n")


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
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    authority: Authority = None,
    audience: Audience = None,
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
    who = _Who(principal, data, url, key, certificate, certificate_key, authority, audience)
    if data_type == "Csv":
        _send_csv(files, client=who.client(), domain=domain, organisation=organisation, key=idempotency_key,
                  dry_run=dry_run)  # fmt: skip
        return
    if idempotency_key is not None and (data_type == "Hl7v2" or len(files) > 1):
        stop("--idempotency-key names one Fhir or Csv file; an HL7 v2 message has its own in MSH-10")
    refused = total = 0
    with who.client() as client:
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
        stop(f"{refused} of {total} refused")


def _send_csv(
    files: list[Path], *, client: GatewayClient, domain: str, organisation: str, key: str | None, dry_run: bool
) -> None:
    if key is not None and len(files) > 1:
        stop("--idempotency-key names one file")
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
        stop(f"{refused} of {len(files)} refused")
