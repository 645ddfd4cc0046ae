"""The table of settings in gateway/README.md names every setting, no other, and its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.config import REPOSITORY, Settings

PAGE = (REPOSITORY / "gateway" / "README.md").read_text("utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| (.+?) \| ", re.MULTILINE)
IN_WORDS = frozenset({"rules", "specs", "public_url", "targets", "shared", "audit_key_file", "audit_anchors"})
"""Settings whose default comes from elsewhere: from where, the table says in words."""
UNITS = {"": 1, " MiB": 1024**2, " GiB": 1024**3}


def rows() -> list[tuple[str, str]]:
    """Each setting of the table with its default as the table writes it."""
    found = []
    for names, defaults in ROW.findall(PAGE):
        several = re.findall(r"\w+", names)
        told = defaults.split(", ") if len(several) > 1 else [defaults]
        found += list(zip(several, told if len(told) == len(several) else told * len(several), strict=True))
    return found


def value(told: str, like: Any) -> Any:
    """What a cell says, as the setting has it."""
    bare = told.strip("`")
    if told == "none":
        return like if like in ({}, None, SecretStr("")) else None
    number = re.fullmatch(r"(\d+)( MiB| GiB|)", bare)
    if number is not None:
        return int(number[1]) * UNITS[number[2]]
    if bare in {"true", "false"}:
        return bare == "true"
    return Path(bare) if isinstance(like, Path) else bare


def test_the_table_names_every_setting_once() -> None:
    assert sorted(name for name, _ in rows()) == sorted(Settings.model_fields)


@pytest.mark.parametrize(("name", "told"), [row for row in rows() if row[0] not in IN_WORDS])
def test_the_table_tells_the_default(name: str, told: str) -> None:
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True, validated_data={})
    assert value(told, default) == default
