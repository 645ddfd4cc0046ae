"""Diagnostics for machines: as JSON, and as SARIF, which code review tools show beside the lines.

Source: SARIF 2.1.0, https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.source import Diagnostic, Message, Span

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_VERSION = "2.1.0"
Json = dict[str, Any]


def as_json(diagnostics: Iterable[Diagnostic]) -> list[Json]:
    """Diagnostics as objects.

    Shape: `file`, `line`, `column`, `endLine`, `endColumn`, `code`, `severity`, `message`, `help` (null for none).
    Units: lines and columns from 1, in code points; `endColumn` is the one behind the last.
    """
    return [
        {
            "file": one.span.source.name,
            **dict(zip(("line", "column", "endLine", "endColumn"), _place(one.span), strict=True)),
            "code": one.code,
            "severity": one.severity,
            "message": one.message,
            "help": one.help,
        }
        for one in diagnostics
    ]


def as_sarif(diagnostics: Iterable[Diagnostic], messages: Mapping[str, Message], version: str) -> Json:
    """One run of `gateway rules check` as a SARIF log.

    Shape: every message that there is stands under `rules`, told or not, so that a reader can look its code up;
    `version` is the gateway's.
    """
    rules = sorted(messages.values(), key=lambda message: message.code)
    index = {message.code: number for number, message in enumerate(rules)}
    driver = {"name": "gateway rules check", "semanticVersion": version, "rules": [_rule(one) for one in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, index[one.code]) for one in diagnostics],
    }
    return {"$schema": SCHEMA, "version": _VERSION, "runs": [run]}


def _rule(message: Message) -> Json:
    words = message.words.replace("{", "").replace("}", "")
    rule: Json = {
        "id": message.code,
        "shortDescription": {"text": words},
        "defaultConfiguration": {"level": message.severity},
    }
    if message.hint is not None:
        hint = message.hint.replace("{", "").replace("}", "")
        rule["help"] = {"text": hint, "markdown": hint}
    return rule


def _result(one: Diagnostic, index: int) -> Json:
    line, column, end_line, end_column = _place(one.span)
    region = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    text = one.message if one.help is None else f"{one.message}\nhelp: {one.help}"
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": one.severity,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": one.span.source.name, "uriBaseId": "%SRCROOT%"},
                    "region": region,
                }
            }
        ],
    }


def _place(span: Span) -> tuple[int, int, int, int]:
    return *span.source.position(span.start), *span.source.position(span.end)
