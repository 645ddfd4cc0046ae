"""The header `Client-Cert` of RFC 9440: whose word it is, and what it has to look like."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509

from gateway.identity import Authorities, BadCertificate, ClientCertificates
from gateway.identity.certificates import described
from tests.certificates import Authority, der


def told(certificate: x509.Certificate) -> str:
    return f":{base64.b64encode(der(certificate)).decode()}:"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def proxy(authority: Authority) -> x509.Certificate:
    return authority.client("proxy")


@pytest.fixture
def known(authority: Authority, proxy: x509.Certificate) -> ClientCertificates:
    lists = (authority.revocations(),)
    return ClientCertificates(Authorities(authority.file, lists), frozenset({described(proxy).thumbprint}))


def test_a_connection_of_its_own_counts_and_what_it_says_of_others_does_not(
    known: ClientCertificates, authority: Authority
) -> None:
    own, other = authority.client("own"), authority.client("other")
    found = known.of(der(own), local=False, forwarded=[told(other)])
    assert found == described(own)
    assert known.of(None, local=False, forwarded=[told(other)]) is None


@pytest.mark.parametrize("local", [True, False])
def test_a_proxys_word_counts_and_its_own_certificate_does_not(
    known: ClientCertificates, authority: Authority, proxy: x509.Certificate, *, local: bool
) -> None:
    shown = None if local else der(proxy)
    own = authority.client("own")
    assert known.of(shown, local=local, forwarded=[told(own)]) == described(own)
    assert known.of(shown, local=local, forwarded=[]) is None


def test_what_a_proxy_tells_is_verified_again(known: ClientCertificates, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", name="Strangers").client()
    with pytest.raises(BadCertificate, match="not signed by an authority"):
        known.of(None, local=True, forwarded=[told(stranger)])
    gone = authority.client("gone")
    authority.revocations(gone)
    with pytest.raises(BadCertificate, match="was revoked"):
        known.of(None, local=True, forwarded=[told(gone)])


def test_a_proxy_whose_own_certificate_was_revoked_is_none(
    known: ClientCertificates, authority: Authority, proxy: x509.Certificate
) -> None:
    authority.revocations(proxy)
    with pytest.raises(BadCertificate, match="was revoked"):
        known.of(der(proxy), local=False, forwarded=[told(authority.client())])


MALFORMED = {
    "PEM": "-----BEGIN CERTIFICATE-----",
    "no colons": "AAAA",
    "one colon": ":AAAA",
    "empty": "",
    "nothing between": "::",
    "two in one": ":AAAA:, :AAAA:",
    "parameters": ":AAAA:;a=1",
    "URL-encoded PEM, as some proxies send": "-----BEGIN%20CERTIFICATE-----%0A",
    "base64url": ":-_-_:",
    "half a base64": ":AAAAA:",
    "no certificate": ":AAAA:",
    "too long": f":{'A' * 20_000}:",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_rfc9440_a_malformed_header_is_refused(known: ClientCertificates, case: str) -> None:
    with pytest.raises(BadCertificate):
        known.of(None, local=True, forwarded=[MALFORMED[case]])


def test_rfc9440_a_second_header_is_refused(known: ClientCertificates, authority: Authority) -> None:
    one = told(authority.client())
    with pytest.raises(BadCertificate, match="more than once"):
        known.of(None, local=True, forwarded=[one, one])
