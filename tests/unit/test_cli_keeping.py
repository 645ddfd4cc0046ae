"""Where commands keep what they parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.keeping import keeping
from gateway.source import Source, made_anew


def test_it_is_among_the_caches_of_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert keeping()("rules", [Source("a.rules", "x")], lambda: "made") == "made"
    assert keeping()("rules", [Source("a.rules", "x")], lambda: "anew") == "made"
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file == tmp_path / "healthcare-exchange-gateway" / "rules"


@pytest.mark.parametrize("named", [None, "", "not/absolute"])
def test_caches_are_below_the_home_where_no_other_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    keeping()("rules", [Source("a.rules", "x")], lambda: "made")
    assert (tmp_path / ".cache" / "healthcare-exchange-gateway" / "rules").is_file()


def test_who_has_no_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("there is none")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", none)
    assert keeping() is made_anew
