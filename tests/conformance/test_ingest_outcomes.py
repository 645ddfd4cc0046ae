"""Every outcome of `$ingest` in both profiles: the table of `http-interface.md`, "What comes back for Hl7v2"."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import loading
from tests import rule_sets
from tests.running import Running, acknowledged, issues, message, running

ADMISSION = message()


@pytest.fixture(scope="module", params=["http-status", "hl7-over-http"])
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def either(tmp_path_factory: pytest.TempPathFactory, profile: str, repository: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("rules")
    # tests in the language tell of the shipped rules, not of these
    for file in (one for one in (repository / "rules").glob("*.rules") if not one.name.endswith(".test.rules")):
        text = file.read_text("utf-8")
        assert profile == "http-status" or "emergency-care" not in file.name or "acknowledge http-status" in text
        (folder / file.name).write_text(text.replace("acknowledge http-status", f"acknowledge {profile}"), "utf-8")
    loaded = rule_sets.decisions(folder, repository / "specs")
    with running(tmp_path_factory.mktemp("data"), loaded) as one:
        yield one


CASES: list[tuple[str, bytes, dict[str, str | None], str, int, int]] = [
    ("stored", message(control_id="S-1"), {}, "AA", 200, 200),
    ("not HL7", b"hello", {}, "AR", 400, 200),
    ("type not accepted", message(kind="ADT^A40"), {}, "AR", 400, 200),
    ("version not accepted", message(version="2.7"), {}, "AR", 400, 200),
    ("unknown organisation", ADMISSION, {"organisation_code": "zzz"}, "AR", 400, 200),
    ("missing organisation", ADMISSION, {"organisation_code": None}, "AR", 400, 200),
    ("unknown domain", ADMISSION, {"source_domain": "urgent"}, "AR", 400, 400),
    ("missing domain", ADMISSION, {"source_domain": None}, "AR", 400, 400),
    ("not permitted", ADMISSION, {"organisation_code": "rdz"}, "AR", 403, 200),
    ("a check failed", message(nhs_number="9990000019"), {}, "AE", 422, 200),
    ("no token", ADMISSION, {"authorization": None}, "AR", 401, 401),
    ("bad token", ADMISSION, {"authorization": "Bearer x.y.z"}, "AR", 401, 401),
    ("wrong media type", ADMISSION, {"content_type": "application/json"}, "AR", 415, 415),
    ("missing media type", ADMISSION, {"content_type": None}, "AR", 415, 415),
    ("another charset", ADMISSION, {"content_type": "text/plain; charset=latin1"}, "AR", 415, 415),
    ("another encoding", ADMISSION, {"content_encoding": "br"}, "AR", 415, 415),
    ("not gzip", ADMISSION, {"content_encoding": "gzip"}, "AR", 400, 200),
    ("gzip cut short", gzip.compress(ADMISSION)[:-4], {"content_encoding": "gzip"}, "AR", 400, 200),
    ("more than gzip", gzip.compress(ADMISSION) + b"x", {"content_encoding": "gzip"}, "AR", 400, 200),
    ("empty body", b"", {}, "AR", 400, 200),
    ("nothing compressed", gzip.compress(b""), {"content_encoding": "gzip"}, "AR", 400, 200),
]


@pytest.mark.parametrize(
    ("body", "changed", "code", "status", "over_http"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_outcome(
    either: Running, profile: str, body: bytes, changed: dict[str, str | None], code: str, status: int, over_http: int
) -> None:
    reply = either.http.post("/$ingest", content=body, headers=either.headers(**changed))
    assert reply.status_code == (status if profile == "http-status" else over_http)
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert acknowledged(reply).code == code
    assert reply.content.count(b"MSA|") == 1
    assert issues(reply)
    if status == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_too_large(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions, body_limit=1024) as small:
        reply = small.send(message(extra="NTE|1||" + "x" * 2000))
        assert (reply.status_code, acknowledged(reply).code) == (413, "AR")


def test_an_unknown_data_type_is_answered_in_json_and_the_capitalisation_is_named(gateway: Running) -> None:
    reply = gateway.send(ADMISSION, data_type="HL7V2")
    assert reply.status_code == 400
    assert reply.headers["content-type"].startswith("application/fhir+json")
    (issue,) = issues(reply)
    assert issue["expression"] == ["data-type"]
    assert "Hl7v2" in issue["diagnostics"]
    assert "capitalisation" in issue["diagnostics"]


def test_a_data_type_that_the_domain_does_not_take(gateway: Running) -> None:
    reply = gateway.send(b"a,b", data_type="Csv", source_domain="pathology")
    assert reply.status_code == 400
    assert "pathology" in issues(reply)[0]["diagnostics"]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("organization-code", "organisation-code"), ("sourcedomain", "source-domain"), ("source_domain", "source-domain")],
)
def test_a_near_miss_of_a_header_is_named(gateway: Running, sent: str, meant: str) -> None:
    headers = {name: value for name, value in gateway.headers().items() if name != meant}
    reply = gateway.http.post("/$ingest", content=ADMISSION, headers={**headers, sent: "r0d"})
    assert reply.status_code == 400
    assert any(f"{sent} was sent" in issue["diagnostics"] for issue in issues(reply))


@pytest.mark.parametrize("name", ["source-domain", "organisation-code", "data-type", "purpose-of-use", "Content-Type"])
def test_a_header_sent_twice_is_refused(gateway: Running, name: str) -> None:
    usual = gateway.headers()
    twice = [(name, usual.pop(name, "TREAT"))] * 2
    doubled = [*usual.items(), *twice]
    reply = gateway.http.post("/$ingest", content=ADMISSION, headers=doubled)
    assert reply.status_code in {400, 415}
    assert any(issue.get("expression") == [name] for issue in issues(reply))


def test_gzip_is_inflated(gateway: Running) -> None:
    reply = gateway.send(gzip.compress(ADMISSION), content_encoding="gzip")
    assert acknowledged(reply).code == "AA"


def test_a_gzip_bomb_is_refused_at_the_cap(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions, body_limit=4096) as small:
        reply = small.send(gzip.compress(b"A" * 10_000_000), content_encoding="gzip")
        assert (reply.status_code, acknowledged(reply).code) == (413, "AR")


@pytest.mark.parametrize(("sent", "hint"), [("Bearer ", "empty"), ("Bearer ${token}", "variable")])
def test_an_empty_token_gets_a_hint(gateway: Running, sent: str, hint: str) -> None:
    reply = gateway.send(ADMISSION, authorization=sent)
    assert reply.status_code == 401
    assert hint in issues(reply)[0]["diagnostics"]


def test_an_unknown_parameter_is_refused(gateway: Running) -> None:
    reply = gateway.send(ADMISSION, query="?dryrun=true")
    assert reply.status_code == 400
    assert "did you mean dry-run?; known are dry-run=true" in issues(reply)[0]["diagnostics"]


def test_what_is_taken_is_told_beside_what_was_sent(gateway: Running) -> None:
    (issue,) = issues(gateway.send(ADMISSION, source_domain="nowhere"))
    assert "has the value nowhere; accepted values: emergency-care" in issue["diagnostics"]
    (issue,) = issues(gateway.send(message(kind="ADT^A17")))
    assert "does not accept message type ADT A17; it accepts ADT A01" in issue["diagnostics"]


def test_the_loss_report_travels_as_information(gateway: Running) -> None:
    reply = gateway.send(message(extra="ZXX|1|local"), query="?loss=report")
    assert acknowledged(reply).code == "AA"
    assert any(issue.get("expression") == ["ZXX-2"] for issue in issues(reply))
