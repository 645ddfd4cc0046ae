"""Places as editors count them, lines and UTF-16 units from 0, and as sources do, characters from 0.

Source: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#position
"""

from __future__ import annotations

from lsprotocol import types
from pygls.workspace import PositionCodec, ServerTextPosition

from gateway.source import Source, Span


def offset(source: Source, position: types.Position, codec: PositionCodec) -> int:
    """The character at an editor's position; past the end of a line it is that end."""
    lines = source.text.split("\n")
    if position.line >= len(lines):
        return len(source.text)
    line = lines[position.line]
    units = min(position.character, codec.client_num_units(line))
    at = codec.position_from_client_units([f"{line}\n"], types.Position(0, units))
    return sum(len(before) + 1 for before in lines[: position.line]) + at.character


def position(source: Source, at: int, codec: PositionCodec) -> types.Position:
    """An editor's position of a character."""
    line, column = source.position(at)
    found = codec.position_to_client_units([source.line(line)], ServerTextPosition(0, column - 1))
    return types.Position(line - 1, found.character)


def extent(span: Span, codec: PositionCodec) -> types.Range:
    """An editor's range of a stretch of text."""
    return types.Range(position(span.source, span.start, codec), position(span.source, span.end, codec))
