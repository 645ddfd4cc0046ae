"""The channel files and the page for Mirth: their structure, what their scripts ask, and what each answer comes to.

Source: `reference/mirth/README.md` and the structure of `channel.xml` beside it; RFC 7523. No Mirth runs here.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx import Response

from gateway.config import CREDENTIALS
from gateway.documents.outcomes import OUTCOMES, PROFILES
from gateway.identity import Credentials
from gateway.identity.jwks import key_set_of
from gateway.loading import Decisions
from tests.interop.mirth.channels import CHANNELS, FINAL, FOLDER, STEP, Channel, made
from tests.running import Running, acknowledged, message, running

PAGE = FOLDER / "README.md"
Place = tuple[tuple[str, str | None, str | None], ...]
BY_NAME = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)


def read(channel: Channel) -> ET.Element:
    return ET.fromstring((FOLDER / f"{channel.name}.xml").read_text("utf-8"))  # noqa: S314 - a file of ours


def places(element: ET.Element, above: Place = ()) -> Iterator[Place]:
    """Every element by its names, classes and versions from the top."""
    here = (*above, (element.tag, element.get("class"), element.get("version")))
    yield here
    for child in element:
        yield from places(child, here)


def scripts(channel: Channel) -> dict[str, str]:
    """Scripts of a channel by the element that they stand in, or the name of their step."""
    root = read(channel)
    steps = {str(one.findtext("name")): str(one.findtext("script")) for one in root.iter(STEP)}
    return {**steps, "deployScript": str(root.findtext("deployScript"))}


@BY_NAME
def test_each_file_is_as_it_is_made(channel: Channel) -> None:
    assert (FOLDER / f"{channel.name}.xml").read_text("utf-8") == made(channel)


def test_there_is_a_file_for_each_profile_and_each_way_to_a_token() -> None:
    assert {file.stem for file in FOLDER.glob("*.xml")} == {channel.name for channel in CHANNELS}
    assert {channel.profile for channel in CHANNELS} == set(PROFILES)
    assert len({read(channel).findtext("id") for channel in CHANNELS}) == len(CHANNELS)


@BY_NAME
def test_a_file_has_the_structure_of_an_export(channel: Channel, shared: Path) -> None:
    read_export = ET.parse(shared / "reference" / "mirth" / "channel.xml")  # noqa: S314 - a file of the reference
    export = set(places(read_export.getroot()))
    own = set(places(read(channel)))
    assert export - own == set(), "what Mirth exports, it may look for"
    more = {place for place in own - export if "responseTransformer" not in [name for name, _, _ in place]}
    assert more == set()


@BY_NAME
def test_a_file_holds_the_settings_that_were_seen_to_work(channel: Channel) -> None:
    texts = {element.tag: element.text for element in read(channel).iter()}
    expected = {
        "queueEnabled": "true", "sendFirst": "false", "regenerateTemplate": "true", "includeFilterTransformer": "true",
        "validateResponse": "true", "validateMessageControlId": "true", "contentType": "text/plain",
        "charset": "UTF-8", "content": "${message.encodedData}", "successfulACKCode": "AA,CA",
    }  # fmt: skip
    assert {name: texts[name] for name in expected} == expected
    assert "Bearer ${gatewayToken}" in {element.text for element in read(channel).iter("string")}
    headers = [entry.findtext("string") for entry in read(channel).findall(".//headers/entry")]
    assert headers == ["source-domain", "organisation-code", "data-type", "Authorization"]
    assert [step for step in scripts(channel) if "final" in step] == (
        ["Refusals that are final"] if channel.profile == "http-status" else []
    )


def test_the_page_names_every_setting_that_the_scripts_read_and_no_other() -> None:
    read_by = {
        name
        for channel in CHANNELS
        for script in scripts(channel).values()
        for name in re.findall(r"(?:setting|\$cfg)\('(\w+)'\)", script)
    }
    assert read_by == set(re.findall(r"`(gateway[A-Z]\w+)`", PAGE.read_text("utf-8")))


def fate(status: int, code: str, profile: str) -> str:
    """What Mirth does with an answer: Validate Response Yes, Queue Always, and the response step of `http-status`."""
    if status < 400:
        return "SENT" if code in {"AA", "CA"} else "ERROR"
    return "ERROR" if profile == "http-status" and status in FINAL else "waits"


def test_the_page_says_what_each_answer_does_to_the_queue() -> None:
    rows = [
        "| {} | {} |".format(
            outcome.name,
            " | ".join(
                f"{outcome.status(profile)} {outcome.code} | {fate(outcome.status(profile), outcome.code, profile)}"
                for profile in PROFILES
            ),
        )
        for outcome in OUTCOMES
    ]
    assert re.findall(r"^\| [a-z-]+ \| \d{3} .*$", PAGE.read_text("utf-8"), re.MULTILINE) == rows


def test_what_no_repetition_cures_is_final_and_nothing_else_is() -> None:
    temporary = {"unauthorised", "too-many", "down", "busy"}
    assert {one.http_status for one in OUTCOMES if one.http_status >= 400 and one.name not in temporary} == set(FINAL)


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_key(gateway: Running, kid: str) -> Response:
    """The token request of the channels with a key, as Apache's client sends it."""
    now = int(time.time())
    address = f"{gateway.settings.public_url}/$ingest/auth"
    head = {"typ": "JWT", "alg": "RS384", "kid": kid}
    body = {"iss": "uhd-mirth", "sub": "uhd-mirth", "aud": address, "iat": now, "exp": now + 120,
            "jti": str(uuid.uuid4())}  # fmt: skip
    text = f"{plain(json.dumps(head).encode())}.{plain(json.dumps(body).encode())}"
    signature = KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA384())
    fields = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": f"{text}.{plain(signature)}",
    }
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "Accept-Encoding": "gzip,deflate",
        "User-Agent": "Apache-HttpClient/4.5.13 (Java/17)",
    }  # fmt: skip
    made = gateway.http.build_request("POST", "/$ingest/auth", content=urlencode(fields), headers=headers)
    del made.headers["accept"]
    reply: Response = gateway.http.send(made)
    return reply


def test_the_assertion_that_the_channels_sign_gets_a_token_and_the_message_is_sent(
    tmp_path: Path, decisions: Decisions
) -> None:
    with running(tmp_path, decisions) as gateway:
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        enrolment = Credentials(tmp_path / CREDENTIALS).enrol("uhd-mirth", keys=key_set_of(pem))
        reply = by_key(gateway, enrolment.keys[0].kid)
        assert reply.status_code == 200, reply.text
        told = reply.json()
        assert told["expires_in"] > 60, "it is renewed a minute before"
        sent = gateway.send(message(control_id="KEY-1"), Authorization=f"Bearer {told['access_token']}")
        assert (sent.status_code, acknowledged(sent).code) == (200, "AA")
        assert by_key(gateway, "another-kid").json()["error"] == "invalid_client"


def test_a_queued_message_whose_token_ended_waits_and_goes_with_the_next_one(gateway: Running) -> None:
    body = message(control_id="QUEUED-1", visit="Q-1")
    for stale in ("Bearer ", "Bearer ${gatewayToken}", "Bearer a.b.c"):
        reply = gateway.send(body, Authorization=stale)
        assert fate(reply.status_code, acknowledged(reply).code, "http-status") == "waits", "the step gets a new token"
    first = gateway.send(body)
    assert fate(first.status_code, acknowledged(first).code, "http-status") == "SENT"
    assert gateway.send(body).content == first.content, "its answer was lost, and it is sent once more"


@pytest.mark.parametrize(("accept", "application", "code"), [("", "", "AA"), ("AL", "NE", "CA"), ("NE", "AL", "AA")])
def test_either_acknowledgement_mode_counts_as_sent(gateway: Running, accept: str, application: str, code: str) -> None:
    asked = message(control_id=f"MODE-{accept}{application}", visit=f"M-{accept}").replace(
        b"|P|2.4\r", f"|P|2.4|||{accept}|{application}\r".encode()
    )
    told = acknowledged(gateway.send(asked))
    assert (told.code, told.control_id) == (code, f"MODE-{accept}{application}")
    assert fate(200, told.code, "hl7-over-http") == "SENT"
