"""Bodies that are no message as it is: each refused with what was seen and the Mirth setting to change.

Source: `http-interface.md` of the design, "`POST /$ingest`"; the settings are those of the channel that was seen to
work, `reference/mirth/channel.xml`.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest

from gateway.hl7v2 import read
from tests.running import Running, acknowledged, issues, message

PLAIN = message()
TEXT = PLAIN.decode()

# What is sent, the rule that names it, what of it the words tell, and the setting that they name.
BODIES: dict[str, tuple[bytes, str, str, str]] = {
    "MLLP": (b"\x0b" + PLAIN + b"\x1c\r", "HL7-MLLP", "byte 0b", "Transmission Mode"),
    "MLLP behind it alone": (PLAIN + b"\x1c\r", "HL7-MLLP", "byte 1c", "Content"),
    "MLLP behind blanks": (b"\r\n\x0b" + PLAIN, "HL7-MLLP", "byte 0b", "Content"),
    "base64": (base64.b64encode(PLAIN), "HL7-BASE64", "Base64", "Data Type"),
    "base64 in lines": (base64.encodebytes(PLAIN), "HL7-BASE64", "Base64", "Data Type"),
    "base64 of a frame": (base64.b64encode(b"\x0b" + PLAIN), "HL7-BASE64", "Base64", "Data Type"),
    "base64url in a data address": (
        b"data:text/plain;base64," + base64.urlsafe_b64encode(PLAIN), "HL7-BASE64", "Base64", "Data Type"),
    "URL-encoded": (quote(TEXT).encode(), "HL7-URL-ENCODED", "URL-encoded", "Content Type"),
    "URL-encoded by a form's rules": (quote_plus(TEXT).encode(), "HL7-URL-ENCODED", "URL-encoded", "Content Type"),
    "URL-encoded in lower case": (TEXT.replace("|", "%7c").encode(), "HL7-URL-ENCODED", "URL-encoded", "Content Type"),
    "form": (urlencode({"message": TEXT}).encode(), "HL7-FORM", "form", "Query Parameters"),
    "form, not encoded": (b"data=" + PLAIN, "HL7-FORM", "form", "Query Parameters"),
    "multipart": (
        b"--x1\r\nContent-Disposition: form-data; name=file\r\n\r\n" + PLAIN + b"\r\n--x1--", "HL7-FORM", "multipart",
        "Multipart"),
    "JSON": (json.dumps({"message": TEXT}).encode(), "HL7-JSON", "JSON", "Content"),
    "FHIR": (b'{"resourceType": "Patient", "id": "9990000018"}', "HL7-FHIR", "data-type: Fhir", "Content"),
    "XML": (b"<HL7Message><MSH><MSH.1>|</MSH.1></MSH></HL7Message>", "HL7-XML", "XML", "Content"),
    "XML with its declaration": (b'\xef\xbb\xbf<?xml version="1.0"?><ADT_A01/>', "HL7-XML", "XML", "Content"),
    "UTF-16 with its mark": (TEXT.encode("utf-16"), "HL7-UTF16", "UTF-16", "Charset Encoding"),
    "UTF-16 LE": (TEXT.encode("utf-16-le"), "HL7-UTF16", "UTF-16", "Charset Encoding"),
    "UTF-16 BE": (TEXT.encode("utf-16-be"), "HL7-UTF16", "UTF-16", "Charset Encoding"),
    "a variable without a value": (b"${message.encodedData}", "HL7-TEMPLATE", "variable", "Content"),
    "a map variable without a value": (b" ${adt_out}\r\n", "HL7-TEMPLATE", "variable", "Content"),
    "a variable without braces": (b"$msg", "HL7-TEMPLATE", "variable", "Content"),
    "quoted": (json.dumps(TEXT).encode(), "HL7-QUOTED", "quotation mark", "Content"),
    "carriage returns written out": (
        TEXT.replace("\r", "\\r").encode(), "HL7-LINE-ENDS", "backslash and r (before EVN)", "Segment Delimiter"),
    "line feeds written out": (
        TEXT.replace("\r", "\\n").encode(), "HL7-LINE-ENDS", "backslash and n (before EVN)", "Segment Delimiter"),
    "both written out": (
        TEXT.replace("\r", "\\r\\n").encode(), "HL7-LINE-ENDS", "backslash and r (before EVN)", "Segment Delimiter"),
    "compressed unsaid": (b"\x1f\x8b\x08\x00\x00", "HL7-GZIP", "gzip", "Headers"),
    "lower case": (b"msh" + PLAIN[3:], "HL7-LOWER-CASE", "upper case", ""),
    "without its header": (PLAIN.split(b"\r", 1)[1], "HL7-NO-MSH", "another segment", "Split Batch By"),
    "a table": (b"nhs,family,given\r\n9990000018,MARLOW,EDITH\r\n", "HL7-CSV", "data-type: Csv", ""),
    "something before it": (b"message: " + PLAIN, "HL7-START", "offset 9", "Content"),
    "blanks": (b" \r\n", "HL7-EMPTY", "nothing but blanks", "Content"),
    "anything else": (b"hello", "HL7-START", "68 65 6c 6c", ""),
    "two messages": (PLAIN + PLAIN, "HL7-SECOND-MSH", "second MSH", "Process Batch"),
}  # fmt: skip

# Names of the Administrator by the element of an exported channel that holds them.
SETTINGS = {
    "Content": "content", "Content Type": "contentType", "Charset Encoding": "charset", "Data Type": "dataTypeBinary",
    "Multipart": "multipart", "Query Parameters": "parameters", "Process Batch": "processBatch",
    "Split Batch By": "splitType", "Segment Delimiter": "segmentDelimiter", "Headers": "headers",
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_it_is_is_told(name: str) -> None:
    body, rule, seen, setting = BODIES[name]
    found = [finding for finding in read(body).findings if finding.rule == rule]
    assert len(found) == 1
    assert found[0].severity == "error"
    assert seen in found[0].diagnostics
    assert setting in found[0].diagnostics
    assert setting == "" or "Mirth" in found[0].diagnostics
    assert not set('"\\|^~&\r\n') & set(found[0].diagnostics), "engines show the words still escaped"


@pytest.mark.parametrize("name", BODIES)
def test_it_is_refused_with_one_acknowledgement(gateway: Running, name: str) -> None:
    body, rule, _, _ = BODIES[name]
    reply = gateway.send(body)
    assert (reply.status_code, acknowledged(reply).code) == (400, "AR")
    (issue,) = [issue for issue in issues(reply) if issue["details"]["coding"][0]["code"] == rule]
    assert not issue["diagnostics"].endswith("..."), "the words are not cut"


@pytest.mark.parametrize("charset", ["utf-8", None])
def test_an_empty_body_names_the_setting(gateway: Running, charset: str | None) -> None:
    reply = gateway.send(b"", content_type="text/plain" + (f"; charset={charset}" if charset else ""))
    assert (reply.status_code, acknowledged(reply).code) == (400, "AR")
    assert "Content of the HTTP Sender" in issues(reply)[0]["diagnostics"]


@pytest.mark.parametrize(
    ("sent", "setting"),
    [
        ("application/x-www-form-urlencoded; charset=UTF-8", "Content Type"),
        ("multipart/form-data; boundary=x", "Multipart"),
        ("application/json", "Content Type"),
        ("application/xml", "Content Type"),
        ("application/octet-stream", "Content Type"),
        ("text/plain; charset=ISO-8859-1", "Charset Encoding"),
        (None, "Content Type"),
    ],
)
def test_a_media_type_that_mirth_was_set_to_names_the_setting(gateway: Running, sent: str | None, setting: str) -> None:
    reply = gateway.send(PLAIN, content_type=sent)
    assert (reply.status_code, acknowledged(reply).code) == (415, "AR")
    assert f"{setting} of the HTTP Sender" in issues(reply)[0]["diagnostics"]


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        b"\r\n" + PLAIN,
        PLAIN.replace(b"\r", b"\r\n"),
        PLAIN + b"NTE|1||C:\\rPT\\data\r",
        PLAIN + b"NTE|1||${name} TVNIfA== MSH%7C <x> data=MSH\r",
    ],
)
def test_a_message_as_it_is_stays_one(body: bytes) -> None:
    assert read(body).readable


def test_the_settings_are_those_of_a_real_channel(shared: Path) -> None:
    exported = (shared / "reference" / "mirth" / "channel.xml").read_text("utf-8")
    named = {setting for _, _, _, setting in BODIES.values()} - {"", "Transmission Mode"}  # that is a TCP Listener's
    assert named <= set(SETTINGS)
    for element in SETTINGS.values():
        assert re.search(rf"<{element}[ />]", exported), element
