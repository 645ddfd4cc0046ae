"""SECURITY.md and the hazard log: each threat and each hazard names tests that are there, and rules name hazards."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SEVERITIES = ("minor", "significant", "considerable", "major", "catastrophic")
LIKELIHOODS = ("very low", "low", "medium", "high", "very high")
MATRIX = ((1, 1, 2, 2, 3), (1, 2, 2, 3, 4), (2, 2, 3, 3, 4), (2, 3, 3, 4, 5), (3, 4, 4, 5, 5))
"""Risk by DCB0129's example matrix, a row for each likelihood from very low on and a column for each severity."""
Row = dict[str, str]


def table(path: Path, first: str) -> list[Row]:
    """The rows of the table whose ids begin so, by column."""
    lines = path.read_text("utf-8").splitlines()
    heads = [line for line in lines if line.startswith("| id |")]
    assert len(heads) == 1
    names = [cell.strip() for cell in heads[0].strip("|").split("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {first}-")]
    assert all(len(row) == len(names) for row in rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


def missing(root: Path, place: str) -> str | None:
    """What is wrong with the place of a test; None where it is there."""
    path, _, name = place.partition("::")
    file = root / path
    if not file.is_file():
        return f"{path} is not there"
    defined = {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
    if name:
        return None if name in defined else f"{path} has no {name}"
    return None if any(one.startswith("test_") for one in defined) else f"{path} has no test"


@pytest.fixture(scope="module")
def threats(repository: Path) -> list[Row]:
    return table(repository / "SECURITY.md", "S")


@pytest.fixture(scope="module")
def hazards(repository: Path) -> list[Row]:
    return table(repository / "rules" / "HAZARDS.md", "H")


def test_each_row_names_tests_that_are_there(repository: Path, threats: list[Row], hazards: list[Row]) -> None:
    assert len(threats) >= 20
    assert len(hazards) >= 12
    wrong = []
    for row in (*threats, *hazards):
        places = re.findall(r"`([^`]+)`", row["tested in"])
        wrong += [] if places else [f"{row['id']} names no test"]
        wrong += [f"{row['id']}: {why}" for place in places if (why := missing(repository, place)) is not None]
    assert not wrong, "\n".join(wrong)


def test_ids_stand_once_and_in_order(threats: list[Row], hazards: list[Row]) -> None:
    for rows, letter in ((threats, "S"), (hazards, "H")):
        assert [row["id"] for row in rows] == [f"{letter}-{number:02}" for number in range(1, len(rows) + 1)]
        assert all(cell for row in rows for cell in row.values())


def test_the_risk_of_a_hazard_is_that_of_the_matrix_and_none_is_unacceptable(hazards: list[Row]) -> None:
    for row in hazards:
        expected = MATRIX[LIKELIHOODS.index(row["likelihood"])][SEVERITIES.index(row["severity"])]
        assert int(row["risk"]) == expected, row["id"]
        assert expected < 4, row["id"]


def test_hazards_that_rules_name_are_in_the_log(repository: Path, hazards: list[Row]) -> None:
    known = {row["id"] for row in hazards}
    named = {
        (path.name, found)
        for path in sorted((repository / "rules").glob("*.rules"))
        for found in re.findall(r"hazard (H-\d+)", path.read_text("utf-8"))
    }
    assert named
    assert {found for _, found in named} <= known


@pytest.mark.parametrize("place", ["tests/conformance/nowhere.py", "tests/conformance/test_leaks.py::test_nothing"])
def test_a_test_that_is_not_there_is_noticed(repository: Path, place: str) -> None:
    assert missing(repository, place) is not None
