"""The parameters of an operation: in the address of a GET, in the body of a POST as Parameters.

Source: https://hl7.org/fhir/R4/operations.html#executing
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error
from gateway.interactions.sent import received

Pairs = list[tuple[str, str]]
BESIDE = frozenset({"_format", "_pretty"})
"""What the address of a POST may say: how the answer is written."""
TEXT = ("valueString", "valueCode", "valueInstant", "valueDateTime", "valueDate", "valueUri")
PLAIN = frozenset({"id", "name"})


async def asked(request: Request, gateway: Gateway) -> Pairs:
    """Names and values of the parameters that an operation was sent. A name that R4 lets repeat stands there so often.

    Errors: Refused: 400 for what is no Parameters of plain values, 413, 415.
    """
    pairs: Pairs = list(request.query_params.multi_items())
    if request.method != "POST":
        return pairs
    others = sorted({name for name, _ in pairs} - BESIDE)
    if others:
        words = "stands in the body of a POST, as Parameters, or in the address of a GET"
        raise Refused("unreadable", *(
            error("invalid", f"{shown(name)} {words}", shown(name), "HTTP-O01") for name in others
        ))  # fmt: skip
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return pairs
    body = await received(request, gateway)
    if body["resourceType"] != "Parameters":
        raise _none("the body of this operation is Parameters")
    given = body.get("parameter", [])
    if not isinstance(given, list):
        raise _none("parameter is a list of objects")
    return [*pairs, *map(_pair, given)]


def joined(pairs: Sequence[tuple[str, str]], name: str) -> Pairs:
    """The same with all that has one name under it once, joined by commas: the two ways to say several."""
    own = [value for each, value in pairs if each == name]
    rest = [(each, value) for each, value in pairs if each != name]
    return [*rest, (name, ",".join(own))] if own else rest


def _pair(one: Any) -> tuple[str, str]:
    """A parameter with a plain value. Errors: Refused (400)."""
    name = one.get("name") if isinstance(one, dict) else None
    if not isinstance(name, str) or not name:
        raise _none("each parameter has a name")
    values = {member: value for member, value in one.items() if member not in PLAIN}
    if len(values) != 1:
        raise _none(f"parameter {shown(name)} has one value, and nothing beside it")
    ((member, value),) = values.items()
    if member in TEXT and isinstance(value, str):
        return name, value
    if member in {"valueInteger", "valuePositiveInt", "valueUnsignedInt"} and type(value) is int:
        return name, str(value)
    if member == "valueBoolean" and isinstance(value, bool):
        return name, "true" if value else "false"
    raise _none(f"the value of parameter {shown(name)} is a text, a date, a number or a boolean, in the member for it")


def _none(words: str) -> Refused:
    return Refused("unreadable", error("structure", words, "Parameters.parameter", "HTTP-O01"))
