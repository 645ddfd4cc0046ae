"""The TextMate grammar by which editors colour rule files, made from the language's own words.

Source: https://macromates.com/manual/en/language_grammars
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lark.lexer import PatternStr

from gateway.rules.parse import KINDS, grammar

SCOPE = "source.gateway-rules"
_JOINS = frozenset({"and", "or", "not", "any", "every", "all"})


def keywords() -> frozenset[str]:
    """All words that the grammar knows, those among them that begin statements."""
    fixed = {t.pattern.value for t in grammar().terminals if isinstance(t.pattern, PatternStr)}
    # `and to` and `in order of` are one terminal each, of words
    return frozenset({word for word in fixed if word.replace("-", "").isalpha()} | {"order"})


def textmate() -> dict[str, Any]:
    """The grammar, as it stands in `gateway/editor/syntaxes/rules.tmLanguage.json`."""
    words = keywords() - set(KINDS) - _JOINS
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Gateway rules",
        "scopeName": SCOPE,
        "fileTypes": ["rules"],
        "patterns": [
            _pattern("comment.line.number-sign", r"#.*$"),
            {
                "name": "string.quoted.double",
                "begin": '"',
                "end": '"|$',
                "patterns": [
                    _pattern("constant.character.escape", r'\\["\\]'),
                    _pattern("variable.other", r"\{[^{}]*\}"),
                ],
            },
            _pattern("keyword.control", rf"^({_any(KINDS)}){_END}"),
            _pattern("constant.other.date", rf"{_START}\d{{4}}-\d\d-\d\d{_END}"),
            _pattern("constant.other.message-type", rf"{_START}[A-Z][A-Z0-9]{{2}}\^[A-Z0-9]{{3}}{_END}"),
            _pattern("variable.other.field", rf"{_START}[A-Z][A-Z0-9]{{2}}-\d+(\.\d+)*{_END}"),
            _pattern("variable.other.element", rf"{_START}([A-Z][A-Za-z]+|row|resource|patient|caller)(\.[\w-]+)+"),
            _pattern("keyword.operator.logical", rf"{_START}({_any(_JOINS)}){_END}"),
            _pattern("keyword.other", rf"{_START}({_any(words)}){_END}"),
            _pattern("constant.numeric", rf"{_START}\d+(\.\d+)*{_END}"),
            _pattern("keyword.operator.comparison", r"<=|>=|<|>|="),
        ],
    }


# a word of the language holds dots, hyphens and carets
_START = r"(?<![\w.^-])"
_END = r"(?![\w.^-])"


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words))


def _pattern(name: str, match: str) -> dict[str, str]:
    return {"name": f"{name}.gateway-rules", "match": match}
