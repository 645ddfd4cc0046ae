"""What was parsed is kept between two starts by its content, and read from nobody else's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import loading, rules
from gateway.kept import Kept
from gateway.rules import Loaded
from gateway.source import Source

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (Source("a.rules", "language 1"), Source("b.rules", "role x"))


def made(keep: Kept, sources: tuple[Source, ...] = SOURCES) -> bool:
    """Whether something was made, and not taken from what is kept."""
    calls: list[int] = []

    def make() -> list[str]:
        calls.append(1)
        return [source.text for source in sources]

    assert keep("rules", sources, make) == [source.text for source in sources]
    return bool(calls)


def test_the_same_sources_are_made_once(tmp_path: Path) -> None:
    assert made(Kept(tmp_path / "data" / "cache"))
    assert not made(Kept(tmp_path / "data" / "cache"))
    kept = tmp_path / "data" / "cache" / "rules"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (kept.parent, kept.parent.parent)} == {0o700}


@pytest.mark.parametrize(
    "other",
    [
        (Source("a.rules", "language 1"), Source("b.rules", "role y")),
        (Source("a.rules", "language 1"), Source("c.rules", "role x")),
        (Source("a.rules", "language 1role x"), Source("b.rules", "")),
        SOURCES[:1],
    ],
)
def test_other_sources_are_made_anew(tmp_path: Path, other: tuple[Source, ...]) -> None:
    keep = Kept(tmp_path / "cache")
    assert made(keep)
    assert made(keep, other)


def test_another_program_makes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = Kept(tmp_path / "cache")
    assert made(keep)
    monkeypatch.setattr("gateway.kept._program", lambda: b"another")
    assert made(keep)


def test_a_file_that_is_not_whole_is_made_anew(tmp_path: Path) -> None:
    keep = Kept(tmp_path / "cache")
    for spoil in (b"", b"nothing of ours", None):
        assert made(keep)
        file = tmp_path / "cache" / "rules"
        text = file.read_bytes()
        file.write_bytes(text[:-1] + bytes([text[-1] ^ 1]) if spoil is None else spoil)
    assert made(keep)


def test_a_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    keep = Kept(tmp_path / "cache")
    assert made(keep)
    (tmp_path / "cache" / "rules").chmod(0o620)
    assert made(keep)
    assert not made(keep)


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_nothing_is_read_from_a_folder_where_others_can_put_it(tmp_path: Path, mode: int) -> None:
    keep = Kept(tmp_path / "cache")
    assert made(keep)
    (tmp_path / "cache").chmod(mode)
    assert made(keep)
    (tmp_path / "cache").chmod(0o755)
    assert not made(keep)


def test_nothing_is_read_that_a_link_leads_to(tmp_path: Path) -> None:
    keep = Kept(tmp_path / "cache")
    assert made(keep)
    file, other = tmp_path / "cache" / "rules", tmp_path / "what-somebody-sent.csv"
    file.rename(other)
    file.symlink_to(other)
    assert made(keep)
    assert not made(keep)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "cache" / "rules", 0o600)
    assert made(Kept(tmp_path / "cache"))


def test_a_folder_that_can_not_be_written_only_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keep = Kept(tmp_path / "file" / "cache")
    assert made(keep)
    assert made(keep)


def test_what_is_kept_loads_as_what_was_read(tmp_path: Path) -> None:
    vocabulary = loading.vocabulary(ROOT / "specs")
    found: list[Loaded] = [
        rules.load(ROOT / "rules", vocabulary, keep=keep)
        for keep in (Kept(tmp_path / "cache"), Kept(tmp_path / "cache"))
    ]
    first, second = (one.rules for one in found)
    assert first is not None
    assert second is not None
    assert (first.digest, first.places, first.served) == (second.digest, second.places, second.served)
    assert [str(d) for d in found[0].diagnostics] == [str(d) for d in found[1].diagnostics]
