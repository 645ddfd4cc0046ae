"""Files beside a journal, sealed part by part. Source: `trust.md` of the design, "Journal": encrypted at rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.journal import kept_files
from gateway.journal.sealed import Key, KeyMissing, Unsealable, key_of

NEW, OLD = key_of(bytes(32)), key_of(bytes([1]) * 32)
ROWS = b"NHS_NUMBER\n9990000018\n"


def write(folder: Path, keys: tuple[Key, ...], *parts: bytes, receipt: str = "r1") -> Path:
    folder.mkdir(exist_ok=True)
    writing = kept_files.Writing(keys, receipt)
    path = folder / f"{receipt}{writing.suffix}"
    path.write_bytes(b"".join(map(writing.part, parts)) + writing.end())
    return path


@pytest.mark.parametrize("keys", [(), (NEW,), (NEW, OLD)])
@pytest.mark.parametrize("parts", [(), (b"",), (ROWS,), (ROWS, b"", ROWS), (b"\xf8GJ1\x01", bytes(70_000))])
def test_what_is_written_is_read_again(tmp_path: Path, keys: tuple[Key, ...], parts: tuple[bytes, ...]) -> None:
    path = write(tmp_path, keys, *parts)
    assert kept_files.whole(keys, tmp_path, "r1") == b"".join(parts)
    assert kept_files.place(tmp_path, "r1") == path
    assert kept_files.receipts(tmp_path) == ("r1",)
    assert (b"9990000018" in path.read_bytes()) is (not keys and ROWS in parts)
    kept_files.drop(tmp_path, "r1")
    assert kept_files.receipts(tmp_path) == ()
    assert kept_files.whole(keys, tmp_path, "r1") is None


def test_a_file_without_its_key_is_told(tmp_path: Path) -> None:
    write(tmp_path, (NEW,), ROWS)
    with pytest.raises(KeyMissing, match=f"part 0 of the file of r1 is sealed with key {NEW.name}"):
        kept_files.whole((OLD,), tmp_path, "r1")


@given(st.data())
def test_no_part_can_be_changed_left_out_added_or_moved(data: st.DataObject) -> None:
    writing = kept_files.Writing((NEW,), "r1")
    parts = [writing.part(ROWS), writing.part(b"more"), writing.part(ROWS), writing.end()]
    whole = b"".join(parts)
    order = data.draw(st.lists(st.integers(0, 3), max_size=6))
    changed = b"".join(parts[i] for i in order)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole) - 1))
        changed = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    if changed == whole:
        return
    with pytest.raises(Unsealable):
        list(kept_files.opened((NEW,), _Bytes(changed), "r1"))


class _Bytes:
    """Bytes as a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        found, self._content = self._content[:size], self._content[size:]
        return found


def test_a_file_can_not_take_anothers_name(tmp_path: Path) -> None:
    write(tmp_path, (NEW,), ROWS).rename(tmp_path / "r2.csv.sealed")
    with pytest.raises(Unsealable, match="not as it was sealed"):
        kept_files.whole((NEW,), tmp_path, "r2")


@pytest.mark.parametrize("before", [(), (OLD,)])
def test_a_file_is_sealed_anew_with_the_first_key(tmp_path: Path, before: tuple[Key, ...]) -> None:
    write(tmp_path, before, ROWS, ROWS)
    assert kept_files.sealed_anew((NEW, OLD), tmp_path, "r1")
    assert not kept_files.sealed_anew((NEW, OLD), tmp_path, "r1")
    assert kept_files.whole((NEW,), tmp_path, "r1") == ROWS + ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["r1.csv.sealed"]


def test_nothing_stands_behind_the_end_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, (NEW,), ROWS)
    whole = path.read_bytes()
    for more in (b"\0", whole):
        path.write_bytes(whole + more)
        with pytest.raises(Unsealable, match="something was added to it"):
            kept_files.whole((NEW,), tmp_path, "r1")
