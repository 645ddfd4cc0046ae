"""The scripts of the Mirth channels, run by Node with stand-ins for what Mirth gives them: no Mirth runs here.

They see whether a script is JavaScript, when it asks for a token, and that it throws nothing; what Rhino and the Java
classes do stands in `reference/mirth/README.md`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_mirth_channels import scripts
from tests.interop.conftest import needs
from tests.interop.mirth.channels import CHANNELS, FINAL, Channel

pytestmark = pytest.mark.interop

STAND_INS = r"""
const [script, given] = [require('fs').readFileSync(process.argv[2], 'utf8'), JSON.parse(process.argv[3])];
class Held { constructor(of) { this.of = of; } get(name) { return this.of[name] ?? null; }
             put(name, value) { this.of[name] = value; } remove(name) { delete this.of[name]; } }
const asked = [], logged = [], signed = [];
const base64 = { encodeToString: raw => 'b64(' + raw + ')', withoutPadding() { return this; } };
const java = {
    lang: { String: function (text) { this.getBytes = () => text; this.toCharArray = () => text; },
            System: { currentTimeMillis: () => given.now } },
    nio: { charset: { StandardCharsets: { UTF_8: 'UTF-8' } } },
    net: { URLEncoder: { encode: text => encodeURIComponent(text) } },
    util: { Base64: { getEncoder: () => base64, getUrlEncoder: () => base64 }, UUID: { randomUUID: () => 'a-uuid' } },
    io: { File: function (name) { this.name = name; }, FileInputStream: function () { this.close = () => 0; } },
    security: { KeyStore: { getInstance: () => ({ load() {}, getKey: alias => 'key of ' + alias }) },
                Signature: { getInstance: name => ({
                    initSign: key => signed.push(name, key), update() {}, sign: () => 's' }) } },
};
const client = { execute: request => { asked.push(request); return {
    getEntity: () => given.answer, getStatusLine: () => ({ getStatusCode: () => given.status }) }; }, close() {} };
class Custom { constructor(made) { this.made = made; } }
for (const name of ['setSSLContext', 'setConnectTimeout', 'setSocketTimeout', 'loadKeyMaterial', 'loadTrustMaterial'])
    Custom.prototype[name] = function () { return this; };
Custom.prototype.build = function () { return this.made; };
const Packages = {
    org: { apache: { http: {
        client: { methods: { HttpPost: function (url) {
            this.url = url; this.headers = {}; this.setHeader = (name, value) => { this.headers[name] = value; };
            this.setEntity = entity => { this.body = entity.text; this.type = entity.type; };
            this.setConfig = () => 0; } },
            config: { RequestConfig: { custom: () => new Custom('limits') } } },
        entity: { ContentType: { create: (type, charset) => type + '; charset=' + charset },
                  StringEntity: function (text, type) { this.text = text; this.type = type; } },
        impl: { client: { HttpClients: { custom: () => new Custom(client) } } },
        ssl: { SSLContexts: { custom: () => new Custom('made') } },
        util: { EntityUtils: { toString: entity => entity } } } } },
    javax: { net: { ssl: { SSLContext: {
        getDefault: () => 'tls', setDefault: made => signed.push('default', made) } } } },
};
const globalChannelMap = new Held(given.map), connectorMap = new Held(given.connector);
const logger = { error: words => logged.push(words) }, ERROR = 'ERROR', $cfg = name => given.settings[name] ?? null;
let responseStatus = 'SENT';
eval('(function () {' + script.replace('responseStatus = ERROR', 'globalThis.final = true') + '})()');
console.log(JSON.stringify({ asked, logged, signed, map: given.map, final: globalThis.final === true }));
"""
ANSWER = json.dumps({"access_token": "new", "token_type": "Bearer", "expires_in": 300})
SETTINGS = {
    "gatewayTokenUrl": "https://gateway.example.org/$ingest/auth", "gatewayClientId": "uhd-mirth",
    "gatewayClientSecret": "a-secret", "gatewayKeyFile": "mirth.p12", "gatewayKeyAlias": "mirth", "gatewayKid": "k-1",
    "gatewayAudience": "https://gateway.example.org/$ingest/auth",
}  # fmt: skip
NOW = 1_800_000_000_000
TOKEN = "Access token for the gateway"
BY_NAME = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)


def run(folder: Path, script: str, **given: Any) -> dict[str, Any]:
    """What a script came to. Shape: `map` and `connector` are the channel's and the connector's."""
    whole = {"now": NOW, "status": 200, "answer": ANSWER, "map": {}, "connector": {}, "settings": SETTINGS, **given}
    (folder / "stand-ins.js").write_text(STAND_INS)
    (folder / "script.js").write_text(script)
    ran = subprocess.run(
        [needs("node"), str(folder / "stand-ins.js"), str(folder / "script.js"), json.dumps(whole)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


@BY_NAME
def test_a_token_is_asked_for_once_and_kept_until_a_minute_before_it_ends(channel: Channel, tmp_path: Path) -> None:
    script = scripts(channel)[TOKEN]
    first = run(tmp_path, script)
    (request,) = first["asked"]
    assert request["url"] == SETTINGS["gatewayTokenUrl"]
    assert request["type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert "grant_type=client_credentials" in request["body"]
    assert first["map"] == {"gatewayToken": "new", "gatewayTokenUntil": NOW + 240_000}
    assert run(tmp_path, script, map=first["map"], now=NOW + 239_000)["asked"] == []
    assert len(run(tmp_path, script, map=first["map"], now=NOW + 241_000)["asked"]) == 1


@BY_NAME
def test_a_401_throws_the_token_away_and_no_other_answer_does(channel: Channel, tmp_path: Path) -> None:
    script, held = scripts(channel)[TOKEN], {"gatewayToken": "old", "gatewayTokenUntil": NOW + 99_000}
    for line, times in (("HTTP/1.1 401 Unauthorized", 1), ("HTTP/1.1 401", 1), ("HTTP/1.1 503 Service", 0)):
        told = run(tmp_path, script, map=dict(held), connector={"responseStatusLine": line})
        assert len(told["asked"]) == times, line


@BY_NAME
@pytest.mark.parametrize("answer", [(401, '{"error": "invalid_client"}'), (200, "<html>"), (502, "")])
def test_a_token_that_is_not_given_is_logged_and_throws_nothing(
    channel: Channel, tmp_path: Path, answer: tuple[int, str]
) -> None:
    told = run(tmp_path, scripts(channel)[TOKEN], status=answer[0], answer=answer[1])
    assert told["map"] == {}
    assert len(told["logged"]) == 1
    assert "no access token" in told["logged"][0]


def test_how_each_channel_proves_itself(tmp_path: Path) -> None:
    by_way = {channel.token: scripts(channel)[TOKEN] for channel in CHANNELS}
    (secret,) = run(tmp_path, by_way["secret"])["asked"]
    assert secret["headers"] == {"Authorization": "Basic b64(uhd-mirth:a-secret)"}
    told = run(tmp_path, by_way["key"])
    (key,) = told["asked"]
    assert key["headers"] == {}
    assert "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer" in key["body"]
    assert told["signed"] == ["SHA384withRSA", "key of mirth"]
    certificate = run(tmp_path, by_way["key"], settings={**SETTINGS, "gatewayKeyFile": ""})
    assert certificate["asked"][0]["body"] == "grant_type=client_credentials&client_id=uhd-mirth"
    assert certificate["signed"] == []


@BY_NAME
def test_the_deploy_script_sets_a_certificate_where_there_is_one(channel: Channel, tmp_path: Path) -> None:
    script = scripts(channel)["deployScript"]
    assert run(tmp_path, script)["signed"] == []
    with_tls = {"gatewayTlsFile": "mirth.p12", "gatewayTlsPassword": "word", "gatewayTrustFile": "trust.p12"}
    assert run(tmp_path, script, settings=with_tls)["signed"] == ["default", "made"]


def test_final_refusals_are_errors_and_others_are_repeated(tmp_path: Path) -> None:
    script = scripts(CHANNELS[0])["Refusals that are final"]
    for status in (*FINAL, 200, 202, 401, 429, 500, 503):
        told = run(tmp_path, script, connector={"responseStatusLine": f"HTTP/1.1 {status} Words"})
        assert told["final"] is (status in FINAL), status
