"""A gateway in a process of its own that asks its clients for certificates, and clients that have some."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography import x509

from gateway.config import CREDENTIALS
from gateway.identity import Credentials
from tests.certificates import Authority, der
from tests.traffic import Server, free_port, start_gateway

WITHIN = 30.0


@dataclass
class Site:
    """A gateway with a listener for certificates, a socket for a proxy, and the authority of its clients."""

    server: Server
    authority: Authority
    mtls: str

    def client(self, name: str | None, authority: Authority | None = None) -> httpx.Client:
        """A client with the certificate of a name; None for one without."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        if name is not None:
            folder = (authority or self.authority).folder
            context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return httpx.Client(base_url=self.mtls, verify=context, trust_env=False, timeout=WITHIN)

    def plain(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, trust_env=False, timeout=WITHIN)

    def local(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.server.data / "proxy.sock"))
        return httpx.Client(base_url="http://proxied", transport=transport, timeout=WITHIN)

    def told(self, name: str) -> str:
        """What a proxy says of a client's certificate."""
        read = x509.load_pem_x509_certificate((self.authority.folder / f"{name}.pem").read_bytes())
        return f":{base64.b64encode(der(read)).decode()}:"


def start_site(
    folder: Path, principals: Sequence[str], *, others: Sequence[str] = (), files: Path | None = None
) -> Site:
    """Start a gateway whose principals are enrolled with certificates.

    Shape: `others` have certificates too; `files` is a folder of `gateway dev-certs` that is served from instead.
    """
    data, port, authority = folder / "data", free_port(), Authority(folder / "authority")
    for name in (*principals, *others, "server", "proxy"):
        authority.issue(name)
    authority.revocations()
    own = files or authority.folder
    data.mkdir(parents=True)
    (data / "gateway.toml").write_text(f"""
environment = "test"
targets = {{ bed-board = "folder:bed-board" }}
[mtls]
port = {port}
certificate = "{own}/server.pem"
key = "{own}/server.key"
authorities = "{own}/authority.pem"
revocations = [{f'"{own}/revoked.crl"' if files is None else ""}]
proxies = ["{authority.folder}/proxy.pem"]
socket = "proxy.sock"
""")
    credentials = Credentials(data / CREDENTIALS)
    for name in principals:
        credentials.enrol(name, certificates=[(authority.folder / f"{name}.pem").read_bytes()])
    server = start_gateway(data)  # which leaves the settings that are there, and has what was parsed before
    return Site(server, authority, f"https://127.0.0.1:{port}")
