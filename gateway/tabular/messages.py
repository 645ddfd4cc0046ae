"""Every message to authors of layouts, each under its stable code; those of a layout's resources are in `mapping/rows`.

A code is never given to another message. Words in braces are filled with the author's text.
"""

from __future__ import annotations

from gateway.source import Catalogue

REGISTRY = Catalogue()
_message = REGISTRY.add

# --- the file ------------------------------------------------------------------------------------------------------
NO_TOML = _message("L001", "the layout is not TOML: {words}", "see https://toml.io for how it is written")
UNREADABLE = _message("L002", "the file is not UTF-8 text", "save it as UTF-8")
BAD_NAME = _message(
    "L003", "`{word}` is no name of a layout", "name the file in lower case with hyphens: `ed-attendances.toml`"
)
UNKNOWN_KEY = _message("L004", "unknown key `{word}`")
MISSING_KEY = _message("L005", "the layout says nothing of `{word}`")
WRONG_KIND = _message("L006", "`{word}` takes {wanted}")
NOT_ONE_OF = _message("L007", "`{value}` is no {word}")
BAD_DELIMITER = _message("L008", "`{value}` can't be the {word}", "it is one character that is not a letter or digit")

# --- columns -------------------------------------------------------------------------------------------------------
BAD_COLUMN = _message(
    "L010",
    "`{word}` is no name of a column",
    'a name begins with a letter and has letters, digits, `_` and `-` after it; say `header = "..."` for the file\'s',
)
HEADER_TWICE = _message("L011", "`{word}` is the header of two columns", "it stands at {place} already")
NOT_OF_TYPE = _message("L012", "`{word}` means nothing for a column of type {type}", "leave it out")
BAD_FORMAT = _message(
    "L013", "`{value}` is no form of {type}", "write it of YYYY, MM, DD, hh, mm, ss, ZZ: `DD/MM/YYYY hh:mm`"
)
BAD_PATTERN = _message("L014", "`{value}` is no regular expression: {words}")
UNKNOWN_CODES = _message("L015", "there is no code map `{word}`")
NEEDS_CODES = _message("L016", "column `{word}` is of type code and names no code map", 'add `codes = "..."`')
NO_HEADER = _message("L017", "the file has no header line, so `{word}` means nothing", "leave it out")
UNKNOWN_COLUMN = _message("L018", "there is no column `{word}`")
SAME_WORD = _message("L019", "`{value}` means both true and false", "keep it in one of the two")
