"""What is wrong with a test, each kind under its stable code.

The codes are of one catalogue with those of the language; tests/conformance/rules/tests.cases holds every one of them.
"""

from __future__ import annotations

from gateway.language.messages import REGISTRY

_message = REGISTRY.add

NO_DOMAIN_GIVEN = _message(
    "R180",
    "a test that gives a {given} says who sends it, as whom and to which domain",
    "write `from PRINCIPAL as ORGANISATION to DOMAIN`",
)
STRANGE_CLAUSE = _message("R181", "`{word}` does not go with a {given}", "leave it out")
STRANGE_OUTCOME = _message("R182", "a {given} can't come to `{word}`")
OTHER_KIND = _message("R183", "`{word}` is a {kind}, and `{outcome} by` names a {wanted}")
NO_SAMPLE = _message("R184", "there is no file `{word}` beside the rule file")
NO_ADDRESS = _message("R185", "`{word}` is no address of a resource", "write it as `Patient/9990000018`")
NO_SEARCH = _message("R186", "`{word}` is no search that can be asked")
NOTHING_EXPECTED = _message(
    "R187", "test `{word}` expects nothing", "add `expect accept to TARGET`, or `expect deny for want of PERMIT`"
)
OFF_POINT = _message("R188", "`{word}` does not speak of {about}")
NEEDS_RETURNING = _message(
    "R189", "`{word}` can only be told of a stored resource", 'add `returning "samples/RESOURCE.json"`'
)
STRANGE_PLACE = _message("R191", "`{rule}` never tells of `{word}`")
UNTESTED = _message(
    "R190",
    "no test shows what {kind} `{word}` grants",
    "add a `test` that expects it to grant, and one for want of it",
    "warning",
)
