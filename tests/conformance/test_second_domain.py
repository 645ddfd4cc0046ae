"""A second sending domain is a rule file: no change in `gateway/`, and the document shows it."""

from __future__ import annotations

from pathlib import Path

from gateway import assemble
from gateway.config import Settings
from tests import rule_sets
from tests.running import acknowledged, message, running

DOMAIN = """language 1

domain minor-injuries "Minor injuries"
  owner "Minor injuries board"
  contact "miu-board@example.org"
  acknowledge http-status
  same control id refuse for 7 days

accept Hl7v2 ADT^A01
  versions 2.4 to 2.5

permit MI-P1 "Units send for themselves"
  to ingest
  when caller connects as organisation
   and caller sends as organisation
   and caller sends category message.type
  because DSA-2026-014

route MI-R1 "Visits go to the shared record"
  on Hl7v2
  to record
  on failure reject
"""
PRINCIPAL = """
principal demo-engine "Demonstration engine"
  connects as r0d
  sends as r0d
  sends category emergency-care ADT^A01, ADT^A03, ADT^A04, ADT^A08
  sends category minor-injuries ADT^A01
  roles data-provider
"""


def test_a_rule_file_makes_a_domain(tmp_path: Path, repository: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (repository / "rules").glob("*.rules"):
        (rules / file.name).write_text(file.read_text("utf-8"), "utf-8")
    registry = (rules / "registry.rules").read_text("utf-8")
    start = registry.index("principal demo-engine")
    end = registry.index("principal demo-partner")
    (rules / "registry.rules").write_text(registry[:start] + PRINCIPAL.lstrip() + "\n" + registry[end:], "utf-8")
    (rules / "minor-injuries.rules").write_text(DOMAIN, "utf-8")
    samples = rules / "samples" / "minor-injuries"
    samples.mkdir(parents=True)
    (samples / "accepted-a01-sprain.hl7").write_bytes(message().replace(b"\r", b"\n"))
    loaded = rule_sets.decisions(rules, repository / "specs")
    with running(tmp_path / "data", loaded, rules=rules) as one:
        reply = one.send(message(), source_domain="minor-injuries")
        assert (reply.status_code, acknowledged(reply).code) == (200, "AA")
        assert one.send(message(kind="ADT^A08"), source_domain="minor-injuries").status_code == 400
        document = one.http.get("/openapi.json").json()
    operation = document["paths"]["/$ingest"]["post"]
    header = next(p for p in operation["parameters"] if p["name"] == "source-domain")
    assert "minor-injuries" in header["schema"]["enum"]
    assert any("minor-injuries" in name for name in operation["requestBody"]["content"]["text/plain"]["examples"])
    assert "minor-injuries" not in assemble.openapi_text(
        rule_sets.decisions(repository / "rules", repository / "specs"), Settings()
    )
