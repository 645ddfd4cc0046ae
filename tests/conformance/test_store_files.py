"""`gateway store import`, `export`, `reindex`: what goes in comes out, whatever is faulty is named by file and line.

Source: https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway import fhir, query, specs
from gateway.cli.store import app
from gateway.upstream.store import ndjson
from gateway.upstream.store.engine import Change, Store

TABLES = specs.fhir()
OBSERVATION = (
    '{"resourceType":"Observation","id":"%s","valueQuantity":{"value":72.50}, "note": [{"text": "\\u00e9 \\n"}]}'
)


def patients(*numbers: int, **more: Any) -> list[str]:
    return [
        json.dumps({"resourceType": "Patient", "id": f"p{n}", "name": [{"family": f"F{n}"}], **more}) for n in numbers
    ]


def file_of(folder: Path, name: str, lines: Iterable[str], ending: str = "\n") -> Path:
    file = folder / name
    text = ending.join(lines).encode()
    file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return file


def gateway(*words: object) -> tuple[int, str, str]:
    """Exit status, output and errors of a command, in this process: starting one takes longer than what it does."""
    ended = CliRunner().invoke(app, list(map(str, words)))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


def found(data: Path, type_: str, *pairs: tuple[str, str]) -> list[str]:
    """Ids of what a search finds in the store of a data folder."""

    async def search() -> list[str]:
        store = Store(data / "store.db", TABLES, lambda: datetime.now(UTC))
        asked = query.parse(type_, [*pairs, ("_count", "1000")], TABLES, query.WHOLE)
        assert isinstance(asked, query.Query)
        page = await store.search(asked, "")
        await store.aclose()
        return sorted(version.id for version in page.found)

    return asyncio.run(search())


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [fhir.load(line) for line in file.read_bytes().splitlines()]


def without_the_servers(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in resource["meta"].items() if name not in {"versionId", "lastUpdated"}}
    return {name: value for name, value in resource.items() if name != "meta"} | ({"meta": meta} if meta else {})


def test_what_is_imported_is_found_and_exported_as_it_was(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    several = file_of(tmp_path, "several.ndjson", [*patients(1, 2, active=True), "", OBSERVATION % "o1"])
    packed = file_of(tmp_path, "packed.ndjson.gz", patients(3), ending="\r\n")
    status, told, errors = gateway("import", several, packed, "--data", data)
    assert (status, errors) == (0, "")
    assert told.splitlines() == [
        f"{several}: 3 created, 0 changed, 0 as they were, 0 not imported",
        f"{packed}: 1 created, 0 changed, 0 as they were, 0 not imported",
    ]
    assert found(data, "Patient", ("family", "f")) == ["p1", "p2", "p3"]
    assert found(data, "Observation", ("value-quantity", "72.5")) == ["o1"]
    status, told, _ = gateway("export", "--out", out, "--data", data)
    assert (status, told.splitlines()) == (0, [f"{out}/Observation.ndjson: 1", f"{out}/Patient.ndjson: 3"])
    assert b'"value":72.50' in (out / "Observation.ndjson").read_bytes()
    sent = [fhir.load(line.encode()) for line in patients(1, 2, active=True) + patients(3)]
    assert [without_the_servers(one) for one in lines_of(out / "Patient.ndjson")] == sent
    assert [file.stat().st_mode & 0o777 for file in (out, *out.iterdir())] == [0o700, 0o600, 0o600]
    again = tmp_path / "again"
    assert gateway("import", *sorted(out.iterdir()), "--data", again)[0] == 0
    assert found(again, "Patient") == ["p1", "p2", "p3"]


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    file = file_of(tmp_path, "a.ndjson", patients(1, 2))
    assert gateway("import", file, "--data", tmp_path / "data")[0] == 0
    changed = file_of(tmp_path, "b.ndjson", [*patients(1), *patients(2, active=True)])
    _, told, _ = gateway("import", file, changed, file, "--data", tmp_path / "data")
    assert [line.split(": ")[1] for line in told.splitlines()] == [
        "0 created, 0 changed, 2 as they were, 0 not imported",
        "0 created, 1 changed, 1 as they were, 0 not imported",
        "0 created, 1 changed, 1 as they were, 0 not imported",
    ]


FAULTS = {
    "nonsense": "this is not JSON",
    '{"resourceType":"Patient","id":"a"': "this is not JSON",
    '{"resourceType":"Patient","id":"a","id":"b"}': "this member stands twice in one object",
    '{"id":"a"}': "this is no FHIR resource",
    "[]": "this is no FHIR resource",
    '{"resourceType":"Patient"}': "it has no id",
    '{"resourceType":"Patient","id":"not an id"}': "an id is 1 to 64",
    '{"resourceType":"Patient","id":7}': "an id is 1 to 64",
    '{"resourceType":"Person2","id":"a"}': "there is no such resource type",
    '{"resourceType":"Patient","id":"a","meta":[]}': "meta is an object",
}


def test_faulty_lines_are_told_and_all_others_stored(tmp_path: Path) -> None:
    lines = [line for fault, good in zip(FAULTS, patients(*range(len(FAULTS))), strict=True) for line in (fault, good)]
    file = file_of(tmp_path, "mixed.ndjson", lines)
    status, told, errors = gateway("import", file, tmp_path / "none.ndjson", "--data", tmp_path / "data")
    assert status == 1
    assert len(found(tmp_path / "data", "Patient")) == len(FAULTS)
    assert (
        told.splitlines()[0] == f"{file}: {len(FAULTS)} created, 0 changed, 0 as they were, {len(FAULTS)} not imported"
    )
    for number, words in enumerate(FAULTS.values()):
        assert any(line.startswith(f"{file}:{2 * number + 1}: ") and words in line for line in errors.splitlines())
    assert f"{tmp_path}/none.ndjson: it can't be read: " in errors
    assert f"{len(FAULTS) + 1} lines or files were not imported" in errors


def test_a_file_that_is_cut_is_stored_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(patients(*range(3000))).encode())
    file = tmp_path / "cut.ndjson.gz"
    file.write_bytes(whole[:-200])
    status, _, errors = gateway("import", file, "--data", tmp_path / "data")
    assert (status, "it can't be read to its end" in errors) == (1, True)
    assert len(found(tmp_path / "data", "Patient")) == 1000  # the most of a page
    file.write_bytes(b"\x1f\x8bnonsense")
    assert gateway("import", file, "--data", tmp_path / "data")[0] == 1


def test_a_line_past_the_limit_is_left_out_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "LONGEST_LINE", 300)
    file = file_of(tmp_path, "long.ndjson", [*patients(1), *patients(2, language="x" * 1000), *patients(3)])

    async def taken() -> list[ndjson.Taken]:
        store = Store(tmp_path / "store.db", TABLES, lambda: datetime.now(UTC))
        told = [one async for one in ndjson.import_file(store, file)]
        await store.aclose()
        return told

    told = asyncio.run(taken())
    assert [fault for one in told for fault in one.faulty] == [ndjson.Faulty(2, "it is longer than 300 bytes")]
    assert sum(one.created for one in told) == 2


def test_an_export_is_never_mixed_with_another(tmp_path: Path) -> None:
    gateway("import", file_of(tmp_path, "a.ndjson", patients(1)), "--data", tmp_path / "data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Basic.ndjson").write_text("")
    status, told, errors = gateway("export", "--out", tmp_path / "out", "--data", tmp_path / "data")
    assert (status, told) == (1, "")
    assert "holds .ndjson files already" in errors
    for command in (("export", "--out", tmp_path / "new"), ("reindex",)):
        status, _, errors = gateway(*command, "--data", tmp_path / "none")
        assert (status, "is no store" in errors) == (1, True)
        assert not (tmp_path / "none").exists()


def test_what_was_deleted_is_not_exported(tmp_path: Path) -> None:
    gateway("import", file_of(tmp_path, "a.ndjson", patients(1, 2)), "--data", tmp_path / "data")

    async def delete() -> None:
        from_file = Store(tmp_path / "data" / "store.db", TABLES, lambda: datetime.now(UTC))
        draft = Change("DELETE", from_file.versions.draft("Patient", {}, b"{}", 0, 2), "p1")
        await from_file.write([draft], "")
        await from_file.aclose()

    asyncio.run(delete())
    gateway("export", "--out", tmp_path / "out", "--data", tmp_path / "data")
    assert [one["id"] for one in lines_of(tmp_path / "out" / "Patient.ndjson")] == ["p2"]
    status, told, _ = gateway("reindex", "--data", tmp_path / "data")
    assert (status, told) == (0, "2 resources are indexed anew\n")
    assert found(tmp_path / "data", "Patient", ("family", "f")) == ["p2"]


def test_a_resource_sent_over_several_lines_is_exported_as_one(tmp_path: Path) -> None:
    body = b'{"resourceType": "Basic",\r\n  "id": "a",\n  "code": {"text": "two\\nlines"}}'

    async def put() -> None:
        store = Store(tmp_path / "data" / "store.db", TABLES, lambda: datetime.now(UTC))
        draft = store.versions.draft("Basic", fhir.load(body), body, 0, len(body))
        await store.write([Change("PUT", draft, "a")], "")
        await store.aclose()

    asyncio.run(put())
    gateway("export", "--out", tmp_path / "out", "--data", tmp_path / "data")
    (one,) = lines_of(tmp_path / "out" / "Basic.ndjson")
    assert one["code"] == {"text": "two\nlines"}


def test_reindex_finds_again_what_the_index_lost(tmp_path: Path) -> None:
    data = tmp_path / "data"
    gateway("import", file_of(tmp_path, "a.ndjson", patients(1, 2)), "--data", data)
    connection = sqlite3.connect(data / "store.db")
    connection.execute("DELETE FROM string")
    connection.commit()
    connection.close()
    assert found(data, "Patient", ("family", "f1")) == []
    assert gateway("reindex", "--data", data)[:2] == (0, "2 resources are indexed anew\n")
    assert found(data, "Patient", ("family", "f1")) == ["p1"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """The most that is held at once, of one file and of one five times as long."""

    def peak(count: int) -> int:
        file = file_of(tmp_path, f"{count}.ndjson", patients(*range(count), language="x" * 8000))

        async def run() -> None:
            store = Store(tmp_path / f"{count}.db", TABLES, lambda: datetime.now(UTC))
            async for _ in ndjson.import_file(store, file):
                pass
            await store.aclose()

        tracemalloc.start()
        asyncio.run(run())
        ndjson.export(tmp_path / f"{count}.db", tmp_path / f"out{count}", lambda *_: None)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # tables that are made once
    assert peak(2000) < 1.5 * peak(500)
