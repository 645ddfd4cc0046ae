"""The document tells of batches and enhanced mode, and its example of a batch is answered as it says."""

from __future__ import annotations

from typing import Any

from gateway.hl7v2 import batch, is_batch, read_acknowledgements
from tests.running import Running


def document(gateway: Running) -> dict[str, Any]:
    found: dict[str, Any] = gateway.http.get("/openapi.json").json()
    return found


def test_the_operation_tells_of_batches_and_enhanced_mode(gateway: Running) -> None:
    told = document(gateway)["paths"]["/$ingest"]["post"]["description"]
    assert f"{gateway.settings.batch_limit:,} bytes" in told
    assert "(25 s)" in told
    assert all(word in told for word in ("`FHS`", "`BHS`", "`BTS-2`", "`CA`", "`MSH-15`"))


def test_the_example_of_a_batch_is_answered_as_the_document_says(gateway: Running) -> None:
    examples = document(gateway)["components"]["examples"]
    sent = examples["emergency-care.batch.hl7"]["value"].encode()
    shown = examples["emergency-care.batch.hl7.answer"]["value"].encode()
    assert is_batch(sent)
    reply = gateway.send(sent, query="?dry-run=true")
    assert reply.status_code == 200

    def codes(answer: bytes) -> list[tuple[str, str | None]]:
        return [(one.code, one.control_id) for one in read_acknowledgements(answer) if one is not None]

    def names(answer: bytes) -> list[str]:
        return [part.name for part in batch.parts([answer])]

    assert codes(shown) == codes(reply.content)
    assert {code for code, _ in codes(shown)} == {"AA", "AE"} or {code for code, _ in codes(shown)} == {"AA", "AR"}
    assert names(shown) == names(reply.content) == ["BHS", "MSH", "MSH", "BTS"]
    assert b"|BATCH-0001\r" in shown


def test_both_stand_where_a_reader_looks_for_them(gateway: Running) -> None:
    post = document(gateway)["paths"]["/$ingest"]["post"]
    assert "emergency-care.batch.hl7" in post["requestBody"]["content"]["text/plain"]["examples"]
    assert "emergency-care.batch.hl7.answer" in post["responses"]["200"]["content"]["text/plain"]["examples"]
