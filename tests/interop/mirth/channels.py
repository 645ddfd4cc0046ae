"""Mirth channels that send HL7 v2 to the gateway, made from one description: `python -m tests.interop.mirth.channels`.

Four files come of it, for two acknowledgement profiles and two ways of getting a token; `README.md` says how they are
used. The names of elements and classes are those that Mirth Connect 4.6 exports; a test compares them with an export.
What the scripts may call is what was seen to work there on Java 17.
Source: `reference/mirth/README.md`; `http-interface.md` of the design, acknowledgement profiles.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree as ET

VERSION = "4.6.0"
FOLDER = Path(__file__).parent
SPACE = uuid.UUID("00000000-0000-4000-8000-6d6972746800")
V2 = "com.mirth.connect.plugins.datatypes.hl7v2.HL7v2"
STEP = "com.mirth.connect.plugins.javascriptstep.JavaScriptStep"
FINAL = (400, 403, 409, 413, 415, 422)
"""Statuses of the profile `http-status` that no repetition cures."""

SECRET_PROOF = """
// client_secret_basic (RFC 6749 2.3.1), for a gateway on this machine alone
function proof(id, now, fields) {
    var pair = encoded(id) + ':' + encoded(setting('gatewayClientSecret'));
    return 'Basic ' + java.util.Base64.getEncoder().encodeToString(bytesOf(pair));
}
"""
KEY_PROOF = """
// private_key_jwt (RFC 7523): RS384, by the RSA key of a PKCS 12 file; its kid is the one that the enrolment printed.
// Without gatewayKeyFile the certificate of the connection is the proof (RFC 8705).
function proof(id, now, fields) {
    if (setting('gatewayKeyFile') == '') {
        fields.client_id = id;
        return null;
    }
    var word = new java.lang.String(setting('gatewayKeyPassword')).toCharArray();
    var store = java.security.KeyStore.getInstance('PKCS12');
    var content = new java.io.FileInputStream(setting('gatewayKeyFile'));
    try { store.load(content, word); } finally { content.close(); }
    var began = Math.floor(now / 1000);
    var head = { typ: 'JWT', alg: 'RS384', kid: setting('gatewayKid') };
    var body = { iss: id, sub: id, aud: setting('gatewayAudience'), iat: began, exp: began + 120,
                 jti: String(java.util.UUID.randomUUID()) };
    var text = plain(bytesOf(JSON.stringify(head))) + '.' + plain(bytesOf(JSON.stringify(body)));
    var signing = java.security.Signature.getInstance('SHA384withRSA');
    signing.initSign(store.getKey(setting('gatewayKeyAlias'), word));
    signing.update(bytesOf(text));
    fields.client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    fields.client_assertion = text + '.' + plain(signing.sign());
    return null;
}
function plain(raw) { return String(java.util.Base64.getUrlEncoder().withoutPadding().encodeToString(raw)); }
"""
TOKEN = """
// Puts an access token into the channel's map as gatewayToken, and another one a minute before it ends or after a 401.
// It must not throw: a message without a token is answered 401 and stays in the queue, one whose step fails is lost.
var apache = Packages.org.apache.http;
function setting(name) { var value = $cfg(name); return value == null ? '' : String(value); }
function bytesOf(text) { return new java.lang.String(text).getBytes(java.nio.charset.StandardCharsets.UTF_8); }
function encoded(text) { return String(java.net.URLEncoder.encode(text, 'UTF-8')); }
PROOF
function newToken(now) {
    var id = setting('gatewayClientId'), fields = { grant_type: 'client_credentials' }, parts = [];
    var authorization = proof(id, now, fields);
    for (var name in fields) parts.push(name + '=' + encoded(fields[name]));
    var request = new apache.client.methods.HttpPost(setting('gatewayTokenUrl'));
    if (authorization != null) request.setHeader('Authorization', authorization);
    var form = apache.entity.ContentType.create('application/x-www-form-urlencoded', 'UTF-8');
    request.setEntity(new apache.entity.StringEntity(parts.join('&'), form));
    request.setConfig(apache.client.config.RequestConfig.custom().setConnectTimeout(10000).setSocketTimeout(10000).build());
    var tls = Packages.javax.net.ssl.SSLContext.getDefault();
    var client = apache.impl.client.HttpClients.custom().setSSLContext(tls).build();
    try {
        var answer = client.execute(request);
        var told = String(apache.util.EntityUtils.toString(answer.getEntity(), 'UTF-8'));
        if (answer.getStatusLine().getStatusCode() != 200) throw told;
        return JSON.parse(told);
    } finally {
        client.close();
    }
}
var now = java.lang.System.currentTimeMillis(), last = String(connectorMap.get('responseStatusLine'));
if (/ 401( |$)/.test(last)) globalChannelMap.remove('gatewayToken');
if (globalChannelMap.get('gatewayToken') == null || now > globalChannelMap.get('gatewayTokenUntil')) {
    globalChannelMap.remove('gatewayToken');
    try {
        var fresh = newToken(now);
        globalChannelMap.put('gatewayTokenUntil', now + Math.max(fresh.expires_in - 60, 1) * 1000);
        globalChannelMap.put('gatewayToken', fresh.access_token);
    } catch (fault) {
        logger.error('the gateway gave no access token: ' + fault);
    }
}
"""
DEPLOY = """
// A certificate of our own for this whole Mirth server, where gatewayTlsFile is set; without it nothing changes.
var file = $cfg('gatewayTlsFile');
if (file != null && String(file) != '') {
    var word = new java.lang.String($cfg('gatewayTlsPassword')).toCharArray();
    var made = Packages.org.apache.http.ssl.SSLContexts.custom();
    made.loadKeyMaterial(new java.io.File(file), word, word);
    made.loadTrustMaterial(new java.io.File($cfg('gatewayTrustFile')), word);
    Packages.javax.net.ssl.SSLContext.setDefault(made.build());
}
return;
"""
RESPONSE = """
// Under the profile http-status a final refusal is a status of its own; Mirth would repeat it and hold back the rest.
if (/ (STATUSES)( |$)/.test(String(connectorMap.get('responseStatusLine')))) responseStatus = ERROR;
"""


@dataclass(frozen=True, slots=True)
class Channel:
    """One file: how it gets its token, and which profile its domain acknowledges by."""

    profile: str
    token: str

    @property
    def name(self) -> str:
        """Name of the channel, and of its file."""
        return f"gateway-{self.profile}-{self.token}"

    @property
    def proof(self) -> str:
        """The script's way of proving who it is."""
        return SECRET_PROOF if self.token == "secret" else KEY_PROOF


CHANNELS = tuple(Channel(profile, token) for profile in ("http-status", "hl7-over-http") for token in ("secret", "key"))


def made(channel: Channel) -> str:
    """The XML of a channel, as Mirth imports it."""
    root = ET.Element("channel", version=VERSION)
    _texts(root, id=str(uuid.uuid5(SPACE, channel.name)), nextMetaDataId="2", name=channel.name)
    _text(root, "description", f"HL7 v2 to a gateway whose domain says acknowledge {channel.profile}; see README.md")
    _text(root, "revision", "1")
    _source(ET.SubElement(root, "sourceConnector", version=VERSION))
    _destination(ET.SubElement(ET.SubElement(root, "destinationConnectors"), "connector", version=VERSION), channel)
    _texts(
        root, preprocessingScript="return message;", postprocessingScript="return;", deployScript=_script(DEPLOY),
        undeployScript="return;",
    )  # fmt: skip
    _properties(ET.SubElement(root, "properties", version=VERSION))
    exported = ET.SubElement(root, "exportData")
    _text(ET.SubElement(exported, "metadata"), "enabled", "true")
    for name in ("dependentIds", "dependencyIds", "channelTags"):
        ET.SubElement(exported, name)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _source(connector: ET.Element) -> None:
    _texts(connector, metaDataId="0", name="sourceConnector")
    properties = ET.SubElement(
        connector, "properties", {"class": "com.mirth.connect.connectors.vm.VmReceiverProperties", "version": VERSION}
    )
    reading = ET.SubElement(properties, "sourceConnectorProperties", version=VERSION)
    _texts(
        reading, responseVariable="None", respondAfterProcessing="true", processBatch="false", firstResponse="false",
        processingThreads="1",
    )  # fmt: skip
    _resources(reading)
    _text(reading, "queueBufferSize", "1000")
    _transformer(connector, "transformer", ())
    ET.SubElement(ET.SubElement(connector, "filter", version=VERSION), "elements")
    _texts(connector, transportName="Channel Reader", mode="SOURCE", enabled="true", waitForPrevious="true")


def _destination(connector: ET.Element, channel: Channel) -> None:
    _texts(connector, metaDataId="1", name="gateway")
    sender = "com.mirth.connect.connectors.http.HttpDispatcherProperties"
    properties = ET.SubElement(connector, "properties", {"class": sender, "version": VERSION})
    _queue(ET.SubElement(properties, "destinationConnectorProperties", version=VERSION))
    _texts(
        properties, host="https://gateway.example.org:8443/$ingest", useProxyServer="false", proxyAddress="",
        proxyPort="", method="post",
    )  # fmt: skip
    headers = ET.SubElement(properties, "headers", {"class": "linked-hash-map"})
    for name, value in (
        ("source-domain", "emergency-care"), ("organisation-code", "R0D"), ("data-type", "Hl7v2"),
        ("Authorization", "Bearer ${gatewayToken}"),
    ):  # fmt: skip
        entry = ET.SubElement(headers, "entry")
        _text(entry, "string", name)
        _text(ET.SubElement(entry, "list"), "string", value)
    ET.SubElement(properties, "parameters", {"class": "linked-hash-map"})
    _texts(
        properties, useHeadersVariable="false", headersVariable="", useParametersVariable="false",
        parametersVariable="", responseXmlBody="false", responseParseMultipart="true", responseIncludeMetadata="false",
        responseBinaryMimeTypes="application/.*(?<!json|xml)$|image/.*|video/.*|audio/.*",
        responseBinaryMimeTypesRegex="true", multipart="false", useAuthentication="false", authenticationType="Basic",
        usePreemptiveAuthentication="false", username="", password="", content="${message.encodedData}",
        contentType="text/plain", dataTypeBinary="false", charset="UTF-8", socketTimeout="30000",
    )  # fmt: skip
    token = _script(TOKEN.replace("PROOF", channel.proof.strip("\n")))
    _transformer(connector, "transformer", [("Access token for the gateway", token)])
    final = _script(RESPONSE.replace("STATUSES", "|".join(map(str, FINAL))))
    steps = [("Refusals that are final", final)] if channel.profile == "http-status" else []
    _transformer(connector, "responseTransformer", steps)
    ET.SubElement(ET.SubElement(connector, "filter", version=VERSION), "elements")
    _texts(connector, transportName="HTTP Sender", mode="DESTINATION", enabled="true", waitForPrevious="true")


def _queue(sending: ET.Element) -> None:
    """Queue Always; a repetition runs the token's step again, and is judged by its acknowledgement."""
    _texts(
        sending, queueEnabled="true", sendFirst="false", retryIntervalMillis="10000", regenerateTemplate="true",
        retryCount="0", rotate="false", includeFilterTransformer="true", threadCount="1", threadAssignmentVariable="",
        validateResponse="true",
    )  # fmt: skip
    _resources(sending)
    _texts(sending, queueBufferSize="1000", reattachAttachments="true")


def _transformer(connector: ET.Element, name: str, steps: Sequence[tuple[str, str]]) -> None:
    transformer = ET.SubElement(connector, name, version=VERSION)
    elements = ET.SubElement(transformer, "elements")
    for number, (called, script) in enumerate(steps):
        step = ET.SubElement(elements, STEP, version=VERSION)
        _texts(step, name=called, sequenceNumber=str(number), enabled="true", script=script)
    _texts(transformer, inboundDataType="HL7V2", outboundDataType="HL7V2")
    for way in ("inboundProperties", "outboundProperties"):
        _hl7v2(ET.SubElement(transformer, way, {"class": f"{V2}DataTypeProperties", "version": VERSION}))


def _hl7v2(properties: ET.Element) -> None:
    def part(name: str, **texts: str) -> None:
        kind = f"{V2}{name[0].upper()}{name[1:]}"
        _texts(ET.SubElement(properties, name, {"class": kind, "version": VERSION}), **texts)

    part(
        "serializationProperties", handleRepetitions="true", handleSubcomponents="true", useStrictParser="false",
        useStrictValidation="false", stripNamespaces="false", segmentDelimiter=r"\r", convertLineBreaks="true",
    )  # fmt: skip
    part("deserializationProperties", useStrictParser="false", useStrictValidation="false", segmentDelimiter=r"\r")
    part("batchProperties", splitType="MSH_Segment", batchScript="")
    part(
        "responseGenerationProperties", segmentDelimiter=r"\r", successfulACKCode="AA", successfulACKMessage="",
        errorACKCode="AE", errorACKMessage="Not processed.", rejectedACKCode="AR", rejectedACKMessage="Rejected.",
        msh15ACKAccept="false", dateFormat="yyyyMMddHHmmss.SSS",
    )  # fmt: skip
    part(
        "responseValidationProperties", successfulACKCode="AA,CA", errorACKCode="AE,CE", rejectedACKCode="AR,CR",
        validateMessageControlId="true", originalMessageControlId="Destination_Encoded", originalIdMapVariable="",
    )  # fmt: skip


def _properties(properties: ET.Element) -> None:
    """What Mirth keeps of messages: all of it while a channel is tried; README.md says what to change afterwards."""
    _texts(
        properties, clearGlobalChannelMap="true", messageStorageMode="DEVELOPMENT", encryptData="false",
        encryptAttachments="false", encryptCustomMetaData="false", removeContentOnCompletion="false",
        removeOnlyFilteredOnCompletion="false", removeAttachmentsOnCompletion="false", initialState="STOPPED",
        storeAttachments="true",
    )  # fmt: skip
    ET.SubElement(properties, "metaDataColumns")
    attachments = ET.SubElement(properties, "attachmentProperties", version=VERSION)
    _text(attachments, "type", "None")
    ET.SubElement(attachments, "properties")
    _resources(properties)


def _resources(parent: ET.Element) -> None:
    entry = ET.SubElement(ET.SubElement(parent, "resourceIds", {"class": "linked-hash-map"}), "entry")
    _text(entry, "string", "Default Resource")
    _text(entry, "string", "[Default Resource]")


def _script(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


def _texts(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        _text(parent, name, text)


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text


def main() -> None:
    """Write the files."""
    for channel in CHANNELS:
        (FOLDER / f"{channel.name}.xml").write_text(made(channel), "utf-8")


if __name__ == "__main__":
    main()
