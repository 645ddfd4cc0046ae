"""Result parameters: what comes back of what was found, and what comes with it.

Source: https://hl7.org/fhir/R4/search.html#modifyingresults, #include
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.query.criteria import Refused, check_type, is_offered, meant, names, reference, shown
from gateway.query.offer import Offer
from gateway.query.tree import Include, Sort
from gateway.specs import FhirTables

_LARGEST_COUNT = 10**9
_ANY = "*"
INCLUDING: Mapping[str, tuple[bool, bool]] = {
    "_include": (False, False),
    "_include:iterate": (False, True),
    "_revinclude": (True, False),
    "_revinclude:iterate": (True, True),
}
"""Name to whether it looks backwards, and whether it goes on from what was included."""

Reader = Callable[[str, str, FhirTables, Offer], Any]


def include(resource_type: str, name: str, raw: str, tables: FhirTables) -> Include:
    """One value of `_include` or `_revinclude`.

    Shape: `Type:parameter`, `Type:parameter:Target`, `Type:*` or `*`.
    Errors: Refused.
    """
    reverse, iterate = INCLUDING[name]
    if raw == _ANY:
        return Include(raw, reverse, iterate, _ANY, _ANY, None)
    source, *rest = raw.split(":")
    if len(rest) not in {1, 2}:
        words = f"{name} can not be {shown(raw) or 'empty'}: it is Type:parameter, Type:parameter:Target, Type:* or *"
        raise Refused("value", "SEARCH-INCLUDE", words)
    code, target = rest[0], rest[1] if len(rest) == 2 else None  # noqa: PLR2004 - a third part is the target's type
    check_type(source, tables)
    targets = () if code == _ANY else reference(tables, source, code).targets
    if target is not None:
        check_type(target, tables)
    aimed = resource_type if reverse and not iterate else target
    if targets and aimed is not None and aimed not in targets:
        raise Refused("value", "SEARCH-INCLUDE", f"{source}:{code} refers to {', '.join(targets)}, not to {aimed}")
    if reverse and not iterate and target not in {None, resource_type}:
        words = f"{name} from {resource_type} can not have the target {target}: only :iterate goes further"
        raise Refused("value", "SEARCH-INCLUDE", words)
    if not reverse and not iterate and source != resource_type:
        words = f"{name} starts from {resource_type}, not from {source}: {name}:iterate starts from what was included"
        raise Refused("value", "SEARCH-INCLUDE", words)
    return Include(raw, reverse, iterate, source, code, target)


def including(found: Include) -> str:
    """The name that an include was written with."""
    return next(name for name, way in INCLUDING.items() if way == (found.reverse, found.iterate))


def _count(_: str, raw: str, __: FhirTables, ___: Offer) -> int:
    if not re.fullmatch("[0-9]+", raw) or len(raw) > len(str(_LARGEST_COUNT)) or int(raw) > _LARGEST_COUNT:
        raise Refused("value", "SEARCH-VALUE", f"_count can not be {shown(raw)}: it is a whole number from 0")
    return int(raw)


def _sort(resource_type: str, raw: str, tables: FhirTables, offer: Offer) -> tuple[Sort, ...]:
    keys = tuple(Sort(word.removeprefix("-"), word.startswith("-")) for word in raw.split(","))
    for key in keys:
        parameter = tables.search_parameters.get((resource_type, key.name))
        if parameter is None or not is_offered(parameter, offer) or parameter.type == "composite":
            found = names(resource_type, tables, offer)
            known = [name for name in found if tables.search_parameters[resource_type, name].type != "composite"]
            words = (
                f"_sort can not be by {shown(key.name) or 'nothing'}{meant(key.name, known)}: there are"
                f" {', '.join(known)}, each with a hyphen before it for descending order"
            )
            raise Refused("value", "SEARCH-VALUE", words)
    if len({key.name for key in keys}) < len(keys):
        raise Refused("value", "SEARCH-VALUE", "_sort names a parameter twice")
    return keys


def _elements(resource_type: str, raw: str, tables: FhirTables, _: Offer) -> tuple[str, ...]:
    found = tuple(raw.split(","))
    known = [e.path.partition(".")[2].removesuffix("[x]") for e in tables.elements.children(resource_type)]
    for name in found:
        if name not in known:
            words = f"_elements can not have {shown(name) or 'an empty name'}{meant(name, known)}"
            raise Refused("value", "SEARCH-VALUE", f"{words}: it names elements right below {resource_type}")
    return found


def _one_of(name: str, *allowed: str) -> Reader:
    def reader(_: str, raw: str, __: FhirTables, ___: Offer) -> str:
        if raw not in allowed:
            words = f"{name} can not be {shown(raw) or 'empty'}: it is one of {', '.join(allowed)}"
            raise Refused("value", "SEARCH-VALUE", words)
        return raw

    return reader


def _pretty(resource_type: str, raw: str, tables: FhirTables, offer: Offer) -> bool:
    return bool(_one_of("_pretty", "true", "false")(resource_type, raw, tables, offer) == "true")


def _contained(_: str, raw: str, __: FhirTables, offer: Offer) -> str:
    if not offer.includes:
        raise Refused("not-supported", "SEARCH-PARAMETER", "_contained is not offered yet")
    if raw != "false":
        words = f"_contained can not be {shown(raw) or 'empty'}: contained resources are not searched, so false alone"
        raise Refused("not-supported", "SEARCH-VALUE", words)
    return raw


def _text(name: str) -> Reader:
    def reader(_: str, raw: str, __: FhirTables, ___: Offer) -> str:
        if not raw:
            raise Refused("required", "SEARCH-EMPTY", f"{name} has no value: leave it out or give one")
        return raw

    return reader


# Name to field of Query and reader; `_page` is the gateway's own.
RESULT_PARAMETERS: Mapping[str, tuple[str, Reader]] = {
    "_count": ("count", _count),
    "_sort": ("sort", _sort),
    "_total": ("total", _one_of("_total", "none", "estimate", "accurate")),
    "_summary": ("summary", _one_of("_summary", "true", "text", "data", "count", "false")),
    "_elements": ("elements", _elements),
    "_format": ("format", _text("_format")),
    "_pretty": ("pretty", _pretty),
    "_page": ("page", _text("_page")),
    "_contained": ("contained", _contained),
}
