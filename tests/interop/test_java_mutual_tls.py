"""The JDK's own HTTP client with a certificate: a keystore that keytool made, and the one that `dev-certs` makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config import CREDENTIALS
from gateway.identity import Credentials
from gateway.identity.development import development_certificates
from tests.interop.conftest import needs
from tests.mutual_tls import Site, start_site
from tests.traffic import ROOT, admissions

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(900)]

README = ROOT / "gateway" / "identity" / "README.md"
SEND = ROOT / "tests" / "interop" / "SendWithCertificate.java"
WITHIN = 300.0
NO_ANSWER = 3
WORD = "a-word-for-tests"
PRINCIPAL = "uhd-mirth"
BODIES = iter([(one, body) for one, _, _, body in admissions(9, 700)])


@dataclass(frozen=True)
class Stores:
    """A client's PKCS 12 files, and the file of their password."""

    keys: Path
    trusted: Path
    word: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = start_site(tmp_path_factory.mktemp("site"), [PRINCIPAL])
    yield site
    site.server.stop()


@pytest.fixture(scope="module")
def keytool() -> str:
    return needs("keytool")


def run(*arguments: str | Path) -> str:
    ran = subprocess.run([str(one) for one in arguments], capture_output=True, text=True, timeout=WITHIN, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def by_keytool(keytool: str, site: Site, folder: Path, algorithm: str) -> tuple[Stores, x509.Certificate]:
    """What the documentation says: a key pair, a request, the authority's answer, and whom to trust."""
    stores = Stores(folder / "keys.p12", folder / "trusted.p12", folder / "word")
    stores.word.write_text(WORD)
    store = ("-keystore", stores.keys, "-storetype", "PKCS12", "-storepass", WORD)
    size = ("-groupname", "secp256r1") if algorithm == "EC" else ("-keysize", "2048")
    run(keytool, "-genkeypair", "-alias", "mirth", "-keyalg", algorithm, *size, "-dname", "CN=uhd-mirth", *store)
    request = x509.load_pem_x509_csr(run(keytool, "-certreq", "-alias", "mirth", *store).encode())
    key = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    answer = site.authority.signed(request.subject, key)
    file = folder / "mirth.pem"
    file.write_bytes(answer.public_bytes(Encoding.PEM))
    run(keytool, "-importcert", "-noprompt", "-alias", "authority", "-file", site.authority.file, *store)
    run(keytool, "-importcert", "-noprompt", "-alias", "mirth", "-file", file, *store)
    run(
        keytool, "-importcert", "-noprompt", "-alias", "authority", "-file", site.authority.file, "-keystore",
        stores.trusted, "-storetype", "PKCS12", "-storepass", WORD,
    )  # fmt: skip
    return stores, answer


def by_readme(site: Site, folder: Path) -> Stores:
    """What `gateway/identity/README.md` says, as it stands, with the authority of `dev-certs`."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (steps,) = (block for block in blocks if "keytool -genkeypair" in block)
    (folder / "word").write_text(WORD)
    environment = {
        **os.environ, "GATEWAY_DATA": str(site.server.data),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", steps], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=WITHIN, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Stores(folder / "mirth.p12", folder / "trust.p12", folder / "word")


def enrol(site: Site, *certificates: x509.Certificate) -> None:
    raw = [one.public_bytes(Encoding.PEM) for one in certificates]
    Credentials(site.server.data / CREDENTIALS).enrol(PRINCIPAL, certificates=raw)


def send(java: str, url: str, stores: Stores, folder: Path) -> subprocess.CompletedProcess[str]:
    _, body = next(BODIES)
    file = folder / "message.hl7"
    file.write_bytes(body)
    return subprocess.run(
        [java, str(SEND), url, PRINCIPAL, str(stores.keys), str(stores.trusted), str(stores.word), str(file)],
        capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["EC", "RSA"])
def test_a_keystore_of_keytool_sends_an_admission_and_reads_the_acknowledgement(
    java: str, keytool: str, site: Site, tmp_path: Path, algorithm: str
) -> None:
    stores, certificate = by_keytool(keytool, site, tmp_path, algorithm)
    enrol(site, certificate)
    ran = send(java, site.mtls, stores, tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    status, _, body = ran.stdout.partition("\n")
    assert (status, body.count("MSA|AA|")) == ("200", 1)


def test_java_hears_that_its_certificate_is_not_enrolled(java: str, keytool: str, site: Site, tmp_path: Path) -> None:
    stores, _ = by_keytool(keytool, site, tmp_path, "EC")
    enrol(site, site.authority.client("another"))
    ran = send(java, site.mtls, stores, tmp_path)
    assert "401" in ran.stderr
    assert "invalid_client" in ran.stderr


def test_java_without_an_accepted_certificate_gets_no_answer(java: str, site: Site, tmp_path: Path) -> None:
    made = development_certificates(tmp_path / "strangers", "stranger", WORD, now=lambda: 1_795_000_000)
    word = tmp_path / "word"
    word.write_text(WORD)
    trusted = Stores(made.keystore, made.truststore, word)
    ran = send(java, site.mtls, trusted, tmp_path)
    assert ran.returncode == NO_ANSWER, ran.stdout + ran.stderr


def test_the_keystores_of_dev_certs_and_of_the_readme_send(
    java: str, keytool: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("dev")
    certs = folder / "certs"
    run(sys.executable, "-m", "gateway", "dev-certs", "--out", certs, "--client", PRINCIPAL)
    stores = Stores(certs / f"{PRINCIPAL}.p12", certs / "truststore.p12", certs / f"{PRINCIPAL}.password")
    listed = run(keytool, "-list", "-v", "-keystore", stores.keys, "-storepass:file", stores.word)
    assert "PrivateKeyEntry" in listed
    assert "trustedCertEntry" in run(keytool, "-list", "-keystore", stores.trusted, "-storepass:file", stores.word)
    needs("openssl")
    site = start_site(folder / "site", [PRINCIPAL], files=certs)
    try:
        enrol(site, x509.load_pem_x509_certificate((certs / f"{PRINCIPAL}.pem").read_bytes()))
        made = send(java, site.mtls, stores, folder)
        assert "MSA|AA|" in made.stdout, made.stdout + made.stderr
        told = send(java, site.mtls, by_readme(site, folder), folder)
        assert "MSA|AA|" in told.stdout, told.stdout + told.stderr
    finally:
        site.server.stop()
