"""HL7 v2 chapter 2.7: escape sequences."""

from __future__ import annotations

import pytest

from gateway.hl7v2 import STANDARD, Delimiters, escape, unescape

CUSTOM = Delimiters("!", "@", "$", "%", "*")
FIVE = Delimiters(truncation="#")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", "A|B^C&D~E\\F"),
        (r"line 1\.br\line 2\.BR\line 3", "line 1\nline 2\nline 3"),
        (r"\.sp\\.sp3\x", "\n\n\n\nx"),
        (r"\.sk 3\x\.sk\y", "   x y"),
        (r"\.in+4\\.ti-2\\.fi\\.nf\text\.ce\title", "text\ntitle"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"caf\XC3A9\ \X0D0A\.", "café \r\n."),
        (r"\Xc3a9\x", "éx"),
        # Kept as the sender wrote it
        (r"\XC3\ half", r"\XC3\ half"),
        (r"\XZZ\ \X\ \X123\ ", r"\XZZ\ \X\ \X123\ "),
        (r"\Zlocal\ \C2842\ \M2842\ ", r"\Zlocal\ \C2842\ \M2842\ "),
        (r"\f\ \.sp1234\ \.xx\ ", r"\f\ \.sp1234\ \.xx\ "),
        ("\\", "\\"),
        ("a\\b", "a\\b"),
        ("\\\\", "\\\\"),
        (r"\P\ ", r"\P\ "),
        # The end of what is no sequence may begin one
        (r"C:\dir\F\x", r"C:\dir|x"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_unescape(written: str, meant: str) -> None:
    assert unescape(written) == meant


def test_unescape_by_the_delimiters_of_the_message() -> None:
    assert unescape("%F%%S%%R%%T%%E% \\F\\", CUSTOM) == "!@$*% \\F\\"


def test_the_truncation_character_has_an_escape_where_there_is_one() -> None:
    assert unescape(r"\P\5", FIVE) == "#5"
    assert escape("#5", FIVE) == r"\P\5"
    assert escape("#5") == "#5"


def test_hexadecimal_is_read_by_the_character_set_of_the_message() -> None:
    assert unescape(r"caf\XE9\x", STANDARD, "iso8859-1") == "caféx"
    assert unescape(r"caf\XE9\x") == r"caf\XE9\x"


def test_escape_leaves_no_delimiter_and_no_line_end() -> None:
    assert escape("a|b^c&d~e\\f") == r"a\F\b\S\c\T\d\R\e\E\f"
    assert escape("a\rb\nc\x0bd") == r"a\X0D\b\X0A\c\X0B\d"
    assert escape("a\u2028b\u0085") == r"a\XE280A8\b\XC285\ ".rstrip()
    assert escape("plain é") == "plain é"


def test_encoding_characters_are_msh_2() -> None:
    assert STANDARD.encoding_characters == "^~\\&"
    assert FIVE.encoding_characters == "^~\\&#"
