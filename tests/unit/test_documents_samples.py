"""Which files beside the rules are samples."""

from __future__ import annotations

from pathlib import Path

from gateway.documents import samples


def put(folder: Path, name: str, content: bytes = b"MSH|^~\\&|\n") -> None:
    path = folder / "samples" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_samples_come_by_domain_and_then_by_name(tmp_path: Path) -> None:
    for name in ("b/refused-x.hl7", "b/accepted-y.hl7", "a/accepted-z-z.json"):
        put(tmp_path, name)
    found = samples.read(tmp_path, ["b", "a"])
    assert [sample.key for sample in found] == ["a.accepted-z-z.json", "b.accepted-y.hl7", "b.refused-x.hl7"]
    assert [sample.data_type for sample in found] == ["Fhir", "Hl7v2", "Hl7v2"]
    assert found[0].summary == "a, accepted: z z"
    assert found[2].outcome == "refused"


def test_samples_of_undeclared_domains_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "stranger/accepted-x.hl7")
    assert samples.read(tmp_path, ["emergency-care"]) == ()


def test_other_files_are_no_samples(tmp_path: Path) -> None:
    for name in ("a/README.md", "a/maybe-x.hl7", "a/accepted.hl7", "a/accepted-x.txt", "a/accepted-dir.hl7/inner.txt"):
        put(tmp_path, name)
    assert samples.read(tmp_path, ["a"]) == ()


def test_a_sample_keeps_its_line_ends_and_one_that_is_no_utf8_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a/accepted-cr.hl7", b"MSH|\rPID|\r")
    put(tmp_path, "a/accepted-latin.hl7", b"MSH|\xe9\r")
    assert [sample.text for sample in samples.read(tmp_path, ["a"])] == ["MSH|\rPID|\r"]
