"""Messages to authors that speak of statements alone, in the one registry of all messages.

Codes R140 to R159; those of expressions and of the first statements stand in `gateway/language/messages.py`.
"""

from __future__ import annotations

from gateway.language.messages import REGISTRY

_message = REGISTRY.add

# --- lists and code lists ------------------------------------------------------------------------------------------
LIST_FILE = _message(
    "R140", "{kind} `{word}` can't be used: {why}", "rules that name it err until its file is right", "warning"
)
LIST_PLACE = _message(
    "R141", "`{word}` is no file beside the rules", "name a CSV file below this rule file's own folder, without `..`"
)
LIST_STALE = _message(
    "R142", "list `{word}` is of {day}, and so is stale", "rules that name it err until it is fetched anew", "warning"
)
LIST_EARLY = _message(
    "R149",
    "list `{word}` is of {day}, a day to come",
    "rules that name it err until that day: write the day on which it was fetched",
    "warning",
)

# --- masks ---------------------------------------------------------------------------------------------------------
NOT_MASKED = _message(
    "R143",
    "a mask hides what is shown, and `{word}` shows nothing",
    "a mask is `to search`, `count`, `read` or `history`",
)

# --- rows ... linked by --------------------------------------------------------------------------------------------
NOT_LINKED = _message("R144", "`{word}` links `{type}` with no other resource")
NOT_FOUND_BY = _message(
    "R145",
    "what refers to a `{type}` by `{word}` can't be looked up",
    "R4 has no search parameter for it; link by an element that has one",
)

# --- patients, glass, limits ---------------------------------------------------------------------------------------
NO_PATIENT = _message(
    "R146",
    "`{word}` is in no patient's compartment, so what this rule says of `patient` never matches there",
    "write a rule of its own for it",
    "warning",
)
GLASS_INGEST = _message(
    "R147", "nobody breaks glass to send something", "leave `breaks glass` out of rules `to ingest`"
)
GLASS_REJECT = _message(
    "R150",
    "who broke the glass is not kept waiting for a target, so nothing can be rejected",
    "write how long it is tried: `on failure queue for 30 days`",
)
GLASS_SAID = _message(
    "R152",
    "a route `on break-glass` is of requests that break glass alone, so this says nothing of them",
    "leave `caller breaks glass` out",
)
GLASS_ORDER = _message("R151", "uses of broken glass are told as they come", "leave `in order of` out")
BAD_COUNT = _message("R148", "`{word}` is no number for a limit", "write a whole number, from 1 to 9999999")
