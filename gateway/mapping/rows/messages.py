"""Messages to authors about what a layout says of resources; the codes go on from those of `tabular/messages.py`."""

from __future__ import annotations

from gateway.source import Catalogue

REGISTRY = Catalogue()
_message = REGISTRY.add

UNKNOWN_RESOURCE = _message("L030", "`{word}` is no resource type of FHIR R4")
UNKNOWN_ELEMENT = _message("L031", "`{type}` has no element `{word}`")
NO_LIST = _message("L032", "`{word}` is one element, so no item of it can be named", "leave `[{item}]` out")
BAD_PATH = _message("L033", "`{word}` is no path of elements", "write it as `identifier[2].value`")
NOT_WHOLE = _message("L034", "`{word}` is {type}, which {value} can't fill", "name an element of it")
NOT_OF_TYPE = _message("L035", "`{word}` is {type}, and {value} is {kind}")
BAD_CODE = _message("L036", "`{value}` is no value of `{word}`")
CLOSED = _message(
    "L037", "`{word}` takes the codes of a closed list alone", "give the column a code map that leads to them"
)
CODES_DO_NOT_FIT = _message("L038", "code map `{map}` gives `{code}`, which is no value of `{word}`")
BAD_TARGET = _message("L039", "`{word}` can't refer to {type}", "it refers to {allowed}")
UNKNOWN_NAME = _message("L040", "no resource of this layout is called `{word}`")
BAD_IDENTITY = _message(
    "L041",
    "`{word}` is no identity",
    "write `COLUMN as nhs-number`, `COLUMN as ods-code`, `COLUMN of COLUMN` or `COLUMN`",
)
NO_IDENTITY = _message("L042", "`{word}` makes a resource and names no identity", 'add `identity = "..."`')
UNKNOWN_COLUMN = _message("L043", "there is no column `{word}`")
NO_RESOURCES = _message("L044", "the layout makes no resources", "add `[resources.NAME]`, what the rows become")
BRACE = _message("L045", "a brace of the text has no fellow", "write `{{COLUMN}}`; a text can hold no other braces")
MISSING_TYPE = _message("L046", "resource `{word}` has no type", 'add `type = "Patient"`')
CIRCLE = _message("L047", "the identity of `{word}` goes back to itself", "take a column as its authority")
