"""Requests as a real Mirth Connect 4.6 was seen to make them, and what it needs of an answer to go on.

Source: `reference/mirth/README.md`, told again here in requests of our own; `http-interface.md` of the design.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from httpx import Response

from tests.running import SECRETS, Running, acknowledged, issues, message

BODY = message(control_id="MIRTH-1")


def request(gateway: Running, body: bytes | Iterator[bytes], **changed: str | None) -> Response:
    """A request of its HTTP Sender: names as typed, in no fixed order, no `Accept`."""
    headers: dict[str, str | None] = {
        "data-type": "Hl7v2",
        "Content-Type": "text/plain; charset=UTF-8",
        "Organisation-Code": "R0D",
        "Authorization": f"Bearer {gateway.token('demo-engine')}",
        "Source-Domain": "emergency-care",
        "Accept-Encoding": "gzip,deflate",
        "Connection": "Keep-Alive",
        "User-Agent": "Apache-HttpClient/4.5.13 (Java/17)",
    }
    asked = {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
    sent = [(name, value) for name, value in asked.items() if value is not None]
    made = gateway.http.build_request("POST", "/$ingest", content=body, headers=sent)
    del made.headers["accept"]
    assert made.url.raw_path == b"/$ingest", "the $ is raw"
    reply: Response = gateway.http.send(made)
    return reply


def goes_on(reply: Response, control_id: str) -> bool:
    """Whether Mirth marks the message SENT: response validation on, its message's control id checked."""
    told = acknowledged(reply)
    return reply.status_code < 400 and told.code in {"AA", "CA"} and told.control_id == control_id


def test_the_usual_request_is_sent(gateway: Running) -> None:
    reply = request(gateway, BODY)
    assert goes_on(reply, "MIRTH-1")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8", "other HL7 types are taken for binary"


def test_a_repeat_is_identical_and_gets_the_first_answer(gateway: Running) -> None:
    body = message(control_id="MIRTH-2", visit="M-2")
    assert request(gateway, body).content == request(gateway, body).content


@pytest.mark.parametrize("body", [BODY, BODY.removesuffix(b"\r")])
def test_a_last_carriage_return_is_neither_added_nor_taken(gateway: Running, body: bytes) -> None:
    assert goes_on(request(gateway, body.replace(b"MIRTH-1", b"MIRTH-3%d" % len(body))), f"MIRTH-3{len(body)}")


def test_a_content_encoding_header_makes_it_compress_and_send_in_chunks(gateway: Running) -> None:
    packed = gzip.compress(message(control_id="MIRTH-4", visit="M-4"))
    pieces = iter([packed[:20], packed[20:]])
    assert goes_on(request(gateway, pieces, Content_Encoding="gzip"), "MIRTH-4")


def test_character_encoding_none_sends_latin_1_without_a_charset(gateway: Running) -> None:
    said = message(control_id="MIRTH-5", name="MÜLLER^ZOË", visit="M-5").decode()
    unsaid = request(gateway, said.encode("latin-1"), Content_Type="text/plain")
    assert not goes_on(unsaid, "MIRTH-5")
    assert "MSH-18" in issues(unsaid)[0]["diagnostics"]
    named = said.replace("|P|2.4\r", "|P|2.4||||||8859/1\r")
    assert goes_on(request(gateway, named.encode("latin-1"), Content_Type="text/plain"), "MIRTH-5")


def test_msh_18_plays_no_part_in_what_it_sends_and_is_a_warning(gateway: Running) -> None:
    body = message(control_id="MIRTH-6", visit="M-6").replace(b"|P|2.4\r", b"|P|2.4||||||8859/1\r")
    reply = request(gateway, body)
    assert goes_on(reply, "MIRTH-6")
    assert any(issue["severity"] == "warning" and "MSH-18" in issue["diagnostics"] for issue in issues(reply))


# What is misconfigured, and a word of the answer that says what to do. None of these may look like a success.
MISTAKES: dict[str, tuple[bytes, dict[str, str | None], str]] = {
    "no variable of the token's name": (BODY, {"Authorization": "Bearer ${gatewayToken}"}, "variable"),
    "an empty variable for the token": (BODY, {"Authorization": "Bearer "}, "empty"),
    "no variable of the content's name": (b"${message.encodedDate}", {}, "Content of the HTTP Sender"),
    "an empty content": (b"", {}, "Content of the HTTP Sender"),
    "Multipart Yes": (
        b"--b\r\nContent-Disposition: form-data\r\n\r\n" + BODY, {"Content-Type": "multipart/form-data; boundary=b"},
        "Multipart"),
    "Content Type of a form": (
        b"message=MSH%7C", {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}, "Content Type"),
    "Content Type left empty": (BODY, {"Content-Type": None}, "Content Type"),
    "Charset Encoding UTF-16": (
        BODY.decode().encode("utf-16"), {"Content-Type": "text/plain; charset=UTF-16"}, "Charset Encoding"),
    "the transformed message": (b"<HL7Message><MSH/></HL7Message>", {}, "message.encodedData"),
    "MLLP frames of the source": (b"\x0b" + BODY + b"\x1c\r", {}, "Transmission Mode"),
    "a whole file, Process Batch No": (BODY + BODY, {}, "Process Batch"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_misconfigured_channel_hears_what_to_change(gateway: Running, name: str) -> None:
    body, changed, word = MISTAKES[name]
    reply = request(gateway, body, **changed)
    assert not goes_on(reply, "MIRTH-1")
    assert acknowledged(reply).code == "AR", "an engine stumbles over anything but an acknowledgement"
    assert word in issues(reply)[0]["diagnostics"]


def test_a_token_request_is_a_form(gateway: Running) -> None:
    reply = gateway.http.post(
        "/$ingest/auth", content=b"grant_type=client_credentials", auth=("demo-engine", SECRETS["demo-engine"]),
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "Accept": "application/json"},
    )  # fmt: skip
    assert reply.status_code == 200
    assert reply.json()["expires_in"] > 60
