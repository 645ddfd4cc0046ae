"""Text of the gateway's own words, or of senders', as it may travel back in any acknowledgement."""

from __future__ import annotations

# Readable stand-ins for what an engine that doesn't unescape HL7, or JSON, would stumble over.
_STAND_INS = str.maketrans(
    {
        '"': "'",
        "\\": "/",
        "|": "/",
        "^": "/",
        "~": "/",
        "&": "+",
        "\u2028": " ",
        "\u2029": " ",
        **{chr(code): " " for code in (*range(0x20), *range(0x7F, 0xA0))},
        # halves of surrogate pairs can't be written as UTF-8 at all
        **{chr(code): "?" for code in range(0xD800, 0xE000)},
    }
)


def clean(text: str) -> str:
    """Text without quote, backslash, line break, control character or HL7 delimiter; stand-ins in their place."""
    return text.translate(_STAND_INS)
