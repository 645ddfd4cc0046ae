"""Every message to authors of maps, each under its stable code; those about conditions are the language's (R001 on).

A code is never given to another message. `tests/conformance/maps/` has a case for every one.
"""

from __future__ import annotations

from gateway.source import Catalogue

REGISTRY = Catalogue()
_message = REGISTRY.add

# --- files and statements ------------------------------------------------------------------------------------------
NO_VERSION = _message(
    "M001", "a file of maps starts with the language that it is written in", "write `language 1` first"
)
WRONG_VERSION = _message("M002", "language `{word}` is not known", "this gateway reads `language 1`")
NO_STATEMENT = _message("M003", "`{word}` begins no statement", "a statement begins with {known}")
TWICE = _message("M004", "`{word}` is mapped twice", "it stands at {place} already")
NO_SOURCE = _message("M005", "`{word}` names no source", 'write `source "..."`, the table that its rows come from')
BAD_FILE = _message("M006", "{words}", "correct the line")

# --- what is read --------------------------------------------------------------------------------------------------
UNKNOWN_SEGMENT = _message("M010", "unknown segment `{word}`")
UNKNOWN_FIELD = _message("M011", "no version of HL7 that is known here has `{word}`")
UNKNOWN_DATATYPE = _message("M012", "unknown data type `{word}`")
NOT_OF_THIS = _message("M013", "`{word}` is no part of `{of}`", "write `{of}{joint}` and a number")
UNKNOWN_TRIGGER = _message("M014", "`{word}` is no message type", "write a code and an event, such as `ADT^A01`")
UNKNOWN_VALUE = _message("M015", "`{word}` can't be read here")
WRONG_READING = _message("M016", "`{word}` has the data type {datatype}, which `{map}` doesn't read")
BAD_TEMPLATE = _message(
    "M017", "a brace of the text has no fellow", "write `{{PID-3}}`; a text can hold no other braces"
)

# --- what is made --------------------------------------------------------------------------------------------------
UNKNOWN_TYPE = _message("M020", "unknown type `{word}`")
UNKNOWN_ELEMENT = _message("M021", "`{type}` has no element `{word}`")
NO_LIST = _message("M022", "`{word}` is one element, so no item of it can be named", "leave `{item}` out")
NOT_WHOLE = _message("M023", "`{word}` is {type}, which a text can't fill", "write `using ... to {type}`")
WRONG_TYPE = _message("M024", "`{word}` is {type}, not {made}")
UNKNOWN_MAP = _message("M025", "there is no map of `{word}`")
BAD_CODE = _message("M026", "`{value}` is no value of `{word}`")
NEEDS_IDENTITY = _message(
    "M028", "`{word}` makes a resource and names no identity", "write `identity ...`, its business identifier"
)
NO_RESOURCE = _message("M029", "`{word}` makes no resource, so it has no identity and no display")

NO_ROWS = _message("M033", "`{word}` has no rows, and the engine has no reading of its own for it", "write its rows")

# --- codes ---------------------------------------------------------------------------------------------------------
UNKNOWN_CODES = _message("M030", "there is no code map `{word}`")
NOT_CODED = _message("M031", "`{word}` is {type}, and no code map gives that")
CODES_DO_NOT_FIT = _message("M032", "code map `{map}` gives `{code}`, which is no code of `{word}`")
CLOSED = _message(
    "M034", "`{word}` takes the codes of a closed list alone", "write `coded ...`, the map that leads to them"
)

# --- messages ------------------------------------------------------------------------------------------------------
UNKNOWN_NAME = _message("M040", "no resource is called `{word}` here")
NOT_BEFORE = _message("M041", "`{word}` is made further down", "put its row before this one")
UNKNOWN_GROUP = _message(
    "M042",
    "there is no group `{word}` to stand in",
    "groups are named from the outermost: write `group {word} ...` first",
)
NOT_IN_MESSAGE = _message("M043", "{structure} has no segment `{word}` in any version")
NO_MESSAGE_ROW = _message(
    "M046", "`{words}` belongs to rows of messages, where resources are made", "leave it out, or say it in `messages/`"
)
NOT_ADDED = _message(
    "M047", "`{word}` is no element of a resource", "write the resource and its element: `{word}.result`"
)
NO_MAKER = _message("M048", "`{words}` belongs to the row that makes a resource", "leave it out here")
NO_MOMENT = _message("M050", "`{word}` is {type}, and a moment with time added to it is a dateTime or an instant")
NO_NUMBER = _message("M060", "`{word}` is {type}, and a length of time is counted by a number")
NO_UNIT = _message(
    "M061", "`{word}` is no unit of time that others can be counted in", "write `s`, `min`, `h`, `d` or `wk`"
)
NOT_WITHOUT = _message(
    "M053",
    "`{word}` is no whole element of what is made",
    "name one that stands at its top, such as `start`, or below items that have a number, `coding[1].system`",
)
NO_WITHOUT = _message(
    "M062", "`without` belongs to the rows of segments and data types", "say it there, or write a condition: `when ...`"
)
NOT_APART = _message("M052", "`{word}` is {type}, and what the row makes is {made}: they are never one", "leave it out")
NOT_JOINED = _message("M049", "`{word}` is {type}, and repetitions join into one text alone", "leave `joined` out")

# --- overlays ------------------------------------------------------------------------------------------------------
OVERLAY_ALONE = _message(
    "M054", "`{word}` belongs to overlays", "write it in a folder of its own, such as `specs/hl7v2/uk-core/`"
)
NOT_THERE = _message("M055", "`{map}` fills no `{word}`, so nothing is taken out")
NEVER_LAID = _message(
    "M056",
    "no message with `{segment}` makes all that this row of `{word}` speaks of",
    "correct the names, or leave it out",
)
NO_ZONE = _message("M057", "there is no time zone `{word}`", "write its IANA name, such as `Europe/London`")
NAMELESS = _message(
    "M058", "the overlay `{word}` does not say what it is", 'write `overlay {word} "..."` in one of its files'
)
WRONG_FOLDER = _message("M059", "`{word}` stands in the folder `{folder}`", "an overlay has the name of its folder")
NOT_READ = _message("M063", "nothing in the folder `{word}` is read", "an overlay has {known}; {near}")

# --- messages again ------------------------------------------------------------------------------------------------
WHOLE_SEGMENT = _message("M044", "a row of a message takes a whole segment, not `{word}`", "write `{segment} -> ...`")
NOT_USED = _message("M045", "`{word}` is made from a segment, so it needs its map", "write `using {segment} to ...`")
