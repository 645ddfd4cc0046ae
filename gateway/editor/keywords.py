"""What the words of the language mean, as editors tell it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gateway.rules.card import MEANINGS as STATEMENTS
from gateway.source import Span

PHRASES: Mapping[str, str] = {
    "owner": "Who answers for the domain.",
    "contact": "Where questions about the domain go.",
    "acknowledge": "How a submission is answered: `http-status` or `hl7-over-http`.",
    "without outcome": "Acknowledgements carry no OperationOutcome.",
    "same control id": "What becomes of another body under a control id that was used: `refuse` or `accept`.",
    "keep": "How long the journal keeps what was `accepted`, `refused`, `denied` or `failed`; the audit stays.",
    "serves": "The target that partners' queries of this domain's types go to.",
    "versions": "The lowest and the highest HL7 version that is taken.",
    "convert with": "What is laid over the maps that messages are converted with, in this order.",
    "holding": "What a Bundle may hold beside the domain's own types.",
    "means": "The condition that the name stands for.",
    "to": "What the statement is about: actions and types; in a route, the target.",
    "operation": "An operation on resources, by its name without the `$`.",
    "on": "The data type that the statement reads: `on Hl7v2`, `on Csv`, `on Fhir`, or `on result`.",
    "on break-glass": "The route tells of each use of broken glass, as an AuditEvent; no submission takes it.",
    "when": "The condition under which the statement applies.",
    "because": "Why: an agreement, within whose days and purposes a permit holds, or a text.",
    "review by": "The day by which people look at this rule again; `check` warns 60 days before.",
    "asking": "A search must carry these parameters, as far as its type has them.",
    "allowing": "A search may carry these parameters too.",
    "hide": "Elements that are left out of what is shown; they can't be searched by or written either.",
    "rows": "Only resources of this type of which the condition holds.",
    "linked by": "The condition is about the resource that this reference leads to, or comes from.",
    "all rows": "All resources of the granted types.",
    "where": "Only those of which this holds.",
    "for each": "Once for each repetition; inside, the variable stands for one.",
    "require": "What has to hold; where it does not, `otherwise` says what is found.",
    "except": "What becomes of departures of these kinds: a severity, or `ignored`; of `require message conforms`.",
    "otherwise": "Severity, FHIR issue type and words of what is found. An `error` refuses the submission.",
    "and to": "One more target.",
    "on failure": "What becomes of a submission that the target does not take: `reject`, or `queue for` a time.",
    "in order of": "Submissions that share this value keep their order.",
    "part of": "Who connects as the whole also counts for its parts.",
    "takes": "The data type that the target takes.",
    "from": "The first day of an agreement; the file of a list; the caller of a test.",
    "until": "The last day of an agreement; it counts.",
    "for purpose": "Only for these purposes of use.",
    "of": "What the values of a list are.",
    "stale after": "A list that is older than this makes every rule that names it err.",
    "connects as": "The organisations that a principal may connect as.",
    "sends as": "The organisations that a principal may send as.",
    "sends category": "The message types that a principal may send to a domain.",
    "roles": "The roles that a principal has.",
    "may assert purpose": "The purposes of use that a principal may name in a request.",
    "may break glass": "The principal may give a reason to see what is otherwise held back; each use is audited.",
    "limit": "How many requests a second, or how many resources of a type a day.",
    "per": "How many requests a second, or how many resources of a type a day.",
    "and": "Both hold. Mixed with `or` only with parentheses.",
    "or": "One of them holds. Mixed with `and` only with parentheses.",
    "not": "Turns a condition round.",
    "any of": "One of the conditions below holds.",
    "all of": "All of the conditions below hold.",
    "any": "Holds if the condition holds of one repetition at least; of none at all it is false.",
    "every": "Holds if the condition holds of all repetitions; of none at all it is true.",
    "satisfies": "The condition that is asked of each repetition.",
    "is": "Is equal to; or a predicate such as `is nhs-number`.",
    "is not": "Is another value. An absent value must be ruled out first, with `is present`.",
    "is present": "There is a value.",
    "is absent": "There is no value.",
    "in": "Is one of a set, of values with commas, or of a list.",
    "lacks": "The list does not have the value.",
    "starts with": "The text begins so, letter for letter.",
    "matches": "The whole text fits the regular expression (re2).",
    "within": "No longer ago than that, and not to come.",
    "has code": "One of the codings has this code; or one that is listed in declared `codes`.",
    "has age": "The age in whole years, months ... on the day of the decision.",
    "under": "Younger than that.",
    "over": "That age or older.",
    "listed in": "The patient's NHS number, or the value, is in a declared list.",
    "breaks glass": "The caller may break glass and gave a reason of ten characters or more.",
    "conforms": "The resource, or the message, is what the standard says.",
    "conforms to": "The resource is what this standard says: `model`, or a set of profiles such as `uk-core`.",
    "has role": "The registry gives the caller this role.",
    "given": "What a test sends or asks.",
    "as": "The organisation that the test sends as.",
    "returning": "The stored resources that a search in a test finds.",
    "with": "Stored resources beside those, such as the patient.",
    "from source": "Who contributed the stored resources.",
    "breaking glass": "The reason that the request gives.",
    "in environment": "The environment that the test stands in.",
    "expect": "What has to come out.",
    "expect accept": "The submission is taken, and goes to these targets.",
    "expect refuse by": "This check refuses the submission.",
    "expect warn by": "This check warns, and refuses nothing.",
    "expect deny by": "This rule forbids it.",
    "expect deny for want of": "This permit would grant it but for one thing.",
    "expect permit by": "This permit grants it.",
    "expect notice to": "These targets are told of the use of broken glass, and no others.",
    "expect no notice": "No target is told of broken glass.",
    "at": "The place that the finding names.",
    "hiding": "The elements that are left out.",
}
"""Phrases of the language, with what each means."""

_TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"?|[A-Za-z0-9_][\w.^-]*')
_BY_LENGTH = sorted((tuple(phrase.split()) for phrase in PHRASES), key=len, reverse=True)


def tokens(span: Span, end: int | None = None) -> Iterator[Span]:
    """Words, texts and comments of a stretch, without their grammar; the last text may be open."""
    stop = span.end if end is None else end
    matches = _TOKEN.finditer(span.source.text, span.start, stop)
    return (Span(span.source, match.start(), match.end()) for match in matches)


def meaning(statement: Span, offset: int) -> tuple[str, str, Span] | None:
    """The phrase at a place of a statement, what it means, and where its word stands; None where no keyword is."""
    found = [token for token in tokens(statement) if token.text[0] != "#"]
    at = next((i for i, token in enumerate(found) if token.start <= offset <= token.end), None)
    if at is None:
        return None
    if at == 0:
        word = found[0].text
        return (word, STATEMENTS[word], found[0]) if word in STATEMENTS else None
    phrase = next((p for p in _BY_LENGTH if _stands(p, found, at)), None)
    return None if phrase is None else (" ".join(phrase), PHRASES[" ".join(phrase)], found[at])


def _stands(phrase: Sequence[str], found: Sequence[Span], at: int) -> bool:
    """Whether the word at a place is part of a phrase there."""
    size = len(phrase)
    return any(
        [token.text for token in found[at - before : at - before + size]] == list(phrase)
        for before in range(min(size, at + 1))
    )
