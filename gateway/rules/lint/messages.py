"""Messages about rules that load and still can't be meant so, in the one registry of all messages. Codes R160 to R179.

All are warnings: `gateway rules check` tells them, and no start of the gateway looks for them.
"""

from __future__ import annotations

from gateway.language.messages import REGISTRY

_message = REGISTRY.add

NEVER = _message(
    "R160",
    "this can never hold: `{word}` is held to different values",
    "join the values by commas behind `in`, or write `or`",
    "warning",
)
SHADOWED = _message(
    "R161", "`{word}` adds nothing: `{other}` covers all of it", "remove it, or say what sets it apart", "warning"
)
SAME_RULE = _message("R162", "`{word}` says the same as `{other}`", "keep one of them", "warning")
SAME_NAME = _message("R163", "{kind} `{word}` means the same as `{other}`", "keep one of them", "warning")
NO_EFFECT = _message(
    "R164",
    "`{word}` never permits anything: `{other}` forbids all of it",
    "narrow the one or remove the other",
    "warning",
)
UNUSED = _message("R165", "{kind} `{word}` is used nowhere", "remove it, or name it where it is meant", "warning")
NOBODY_SENDS = _message(
    "R166",
    "domain `{domain}` accepts `{word}` and no permit lets anybody send it",
    "add a permit `to ingest`, or accept less",
    "warning",
)
UNINDEXED = _message(
    "R167",
    "`{word}` is looked at for every type, and its condition says it concerns {types}",
    "name the types: `on {data_type} {types}`, so that the rule is found by its type",
    "warning",
)
HALF_FORBIDDEN = _message(
    "R169",
    "`{word}` keeps {types} from a {action}, and by `{permit}` a {other} tells of them all the same",
    severity="warning",
)
NEVER_OPPOSITE = _message(
    "R168", "this can never hold: `{word}` is demanded and its opposite too", "remove one of the two", "warning"
)
ODD_ENVIRONMENT = _message(
    "R170", "environment `{word}` is nearly another, and nothing declares environments", severity="warning"
)
