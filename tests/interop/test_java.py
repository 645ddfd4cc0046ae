"""The JDK's own HTTP client as an engine: `Send.java`, started from its source."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, RSAKey

from gateway.config import CLIENTS, CREDENTIALS
from gateway.identity import Credentials
from tests.traffic import ENGINE, ROOT, Server, admissions

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process")]

SEND = ROOT / "tests" / "interop" / "Send.java"
WITHIN = 60.0
NO_ANSWER = 3
VERSIONS = ["HTTP_1_1", "HTTP_2"]
BIG = 500_000
KEY = "java-client"
NUMBERS = itertools.count()
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Heard:
    """What the program printed of an answer."""

    status: int
    body: str

    @property
    def code(self) -> str:
        (acknowledged,) = (line for line in self.body.splitlines() if line.startswith("MSA|"))
        return acknowledged.split("|")[1]


def send(java: str, server: Server, principal: str, credential: str, file: Path, version: str = "HTTP_1_1") -> Heard:
    ran = subprocess.run(
        [java, str(SEND), server.url, principal, credential, str(file), version],
        capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    status, _, body = ran.stdout.partition("\n")
    return Heard(int(status), body)


def secret(server: Server) -> str:
    kept = json.loads((server.data / CLIENTS / f"{ENGINE}.json").read_text("utf-8"))
    return f"secret:{kept['client_secret']}"


def admission(folder: Path, size: int = 0) -> tuple[str, Path]:
    """Control id and file of an admission that no other test sends; a note fills it up to a size."""
    ((control_id, _, _, body),) = admissions(1, next(NUMBERS))
    file = folder / "message.hl7"
    file.write_bytes(body + (b"NTE|1||" + b"x" * (size - len(body)) + b"\r" if size else b""))
    return control_id, file


@pytest.mark.parametrize("version", VERSIONS)
def test_an_admission_is_acknowledged(java: str, demo: Server, tmp_path: Path, version: str) -> None:
    control_id, file = admission(tmp_path)
    heard = send(java, demo, ENGINE, secret(demo), file, version)
    assert (heard.status, heard.code) == (200, "AA")
    assert f"MSA|AA|{control_id}|" in heard.body


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_large_body_is_answered_and_breaks_no_pipe(
    java: str, demo: Server, tmp_path: Path, version: str
) -> None:
    _, file = admission(tmp_path, BIG)
    heard = send(java, demo, ENGINE, "token:nobodys", file, version)
    assert (heard.status, heard.code) == (401, "AR")


def test_a_large_body_is_taken(java: str, demo: Server, tmp_path: Path) -> None:
    _, file = admission(tmp_path, BIG)
    heard = send(java, demo, ENGINE, secret(demo), file)
    assert (heard.status, heard.code) == (200, "AA")


@pytest.mark.parametrize("algorithm", ["es384", "rs384"])
def test_a_signed_assertion_gets_a_token(java: str, demo: Server, tmp_path: Path, algorithm: str) -> None:
    private: Key = (
        ec.generate_private_key(ec.SECP384R1())
        if algorithm == "es384"
        else rsa.generate_private_key(public_exponent=65537, key_size=3072)
    )
    jwk = (ECKey if algorithm == "es384" else RSAKey).import_key(_pem(private)).as_dict(private=False)
    keys = {"keys": [{**jwk, "kid": KEY, "alg": algorithm.upper(), "use": "sig"}]}
    Credentials(demo.data / CREDENTIALS).enrol("uhd-mirth", keys=keys)
    file = tmp_path / "key.der"
    file.write_bytes(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    _, message = admission(tmp_path)
    heard = send(java, demo, "uhd-mirth", f"{algorithm}:{KEY}:{file}", message)
    assert (heard.status, heard.code) == (200, "AA")


def _pem(private: Key) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
