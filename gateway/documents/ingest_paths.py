"""The sending side of the OpenAPI document: `/$ingest`, its receipts and its token endpoint.

Source: `http-interface.md` of the design; OpenAPI 3.1.0 section 4.8.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.documents.components import FHIR_JSON, faults, ref
from gateway.documents.examples import Example
from gateway.documents.offer import MEDIA_TYPES, Offer, Published, SendingDomain, Statement
from gateway.documents.outcomes import RETRY_AFTER, Outcome, told

Json = dict[str, Any]

INGEST_PATH = "/$ingest"
RECEIPT_PATH = "/$ingest/receipts/{id}"
TAKEN = frozenset({200, 202})
"""Answers to what was accepted: a response Bundle where a transaction or a batch was sent."""

BATCHES = (
    "An HL7 v2 body that begins with `FHS` or `BHS` is a batch (chapter 2.10.3); trailers and one of the headers may "
    "be left out. It is answered by 200 and a batch of acknowledgements in the same order, each message with a key and "
    "a receipt of its own; `BHS-12` and `FHS-12` name the sender's control ids, and a count in `BTS-1` or `FTS-1` that "
    "disagrees is a warning in `BTS-2` or `FTS-2`. The answer leaves as it is made. Messages that the time of a batch "
    "({within:g} s) doesn't reach are not taken, and answered `AE` with the words to send them again: the whole batch "
    "may be repeated, since what was accepted gets its first answer. Batches up to {limit:,} bytes, each message up to "
    "the limit of a body."
)
MODES = (
    "`MSA-1` is `AA`, `AE` or `AR`; in enhanced mode (chapter 2.9.3) it is `CA`, `CE` or `CR` where `MSH-15` asks for "
    "an acknowledgement of this outcome and `MSH-16` doesn't. There is always exactly one `MSA`."
)
RESOURCES = (
    "A `Fhir` body is a resource or a Bundle (`transaction`, `batch`, `collection`, `message`) in JSON, valid by R4's "
    "element table. Its resources get the record's ids: a Patient its NHS number, an Organization its ODS code, others "
    "one derived from their business identifier; the answer names them. Entries refer to each other by `fullUrl`, by "
    "`Type/id` or by identifier (`Patient?identifier=system|value`), and to the record by its own ids. Patient, "
    "Practitioner, PractitionerRole, Organization and Location are merged with what stands; others are replaced whole. "
    "`request.method` is POST or PUT, `ifNoneExist` and the address of a conditional PUT name one identifier; a batch "
    "is judged as a whole, as a transaction is; a message's MessageHeader is not stored, and the Provenance of the "
    "submission names its event and source. The key is `Idempotency-Key`, else a hash of the body."
)
OUTCOME_STATUSES = frozenset({400, 401, 413, 415})
"""Faults that also meet requests whose data type is not known: they are told by an OperationOutcome."""


HEADERS: Mapping[int, tuple[str, ...]] = {
    200: ("Location",),
    202: ("Location",),
    401: ("WWW-Authenticate",),
    **dict.fromkeys(RETRY_AFTER, ("Retry-After",)),
}
"""Headers of an answer by status."""


FILES = (
    "A `Csv` file is of one of its domain's layouts, told by its header line where there are several. It streams, up "
    "to {limit:,} bytes, and is judged wholly before anything of it is stored: a layout says whether a faulty row "
    "refuses the file or is left out. The answer is an OperationOutcome with an issue for each faulty row, by line and "
    "column, as far as there is room, and the counts of rows read, stored and refused. Past {rows:,} rows the answer "
    "is 202 with the receipt's address in `Location`; the receipt then tells how far it is and what became of it. "
    "Without `Idempotency-Key` a file is known by its content."
)


def paths(offer: Offer, published: Published, examples: Iterable[Example]) -> Json:
    """Path items of the sending side; where no domain accepts anything there is nothing to send."""
    sending = {INGEST_PATH: {"post": _ingest(offer, published, tuple(examples))}} if offer.domains else {}
    return sending | {
        RECEIPT_PATH: {"get": _receipt()},
    }


def domain_words(domain: SendingDomain) -> str:
    """What one domain takes, in Markdown: the rules by id and title."""
    lines = [f"### {domain.name}: {domain.title}", ""]
    if domain.owner or domain.contact:
        lines += [f"Owner: {domain.owner or 'not named'}. Contact: {domain.contact or 'not named'}.", ""]
    for accepted in domain.accepts:
        versions = f", versions {accepted.versions}" if accepted.versions else ""
        converted = f", converted with {', '.join(accepted.overlays)}" if accepted.overlays else ""
        lines.append(f"- accepts {accepted.data_type}: {', '.join(accepted.types)}{versions}{converted}")
    for layout in domain.layouts:
        lines += ["", f"Layout `{layout.name}`: {layout.title}; {layout.words}.", "", "| column | |", "|---|---|"]
        lines += [f"| `{column.name}` | {column.words.replace('|', '/')} |" for column in layout.columns] + [""]
    lines.append(f"- acknowledges by `{domain.profile}`" + ("" if domain.outcome else ", without outcome in MSA-3"))
    lines += ["- another body under a key that was accepted: " + _same_key(domain.same_control_id), ""]
    for heading, statements in (
        ("Who may send", domain.permits),
        ("What is forbidden", domain.forbids),
        ("What is checked", domain.checks),
        ("Where it goes", domain.routes),
    ):
        lines += _section(heading, statements)
    return "\n".join(lines).rstrip()


def _same_key(same_control_id: str) -> str:
    return "refused" if same_control_id == "refuse" else "accepted as a submission of its own"


def _section(heading: str, statements: tuple[Statement, ...]) -> list[str]:
    if not statements:
        return []
    rows = [f"- `{s.id}` {s.title}" + (f" ({s.words})" if s.words else "") for s in statements]
    return [f"{heading}:", "", *rows, ""]


def _ingest(offer: Offer, published: Published, examples: tuple[Example, ...]) -> Json:
    description = (
        "Takes one submission, judges it by the rules of the domain in its header, converts it and delivers it. "
        "The capitalisation of `data-type` matters, that of `organisation-code` doesn't. Segments of HL7 v2 end with "
        f"CR; CR LF and LF are read alike. Bodies up to {published.body_limit:,} bytes, also as "
        "`Content-Encoding: gzip`. A submission that was denied or refused takes no key: corrected, it may be sent "
        "again under the same control id."
    )
    return {
        "operationId": "ingest",
        "tags": ["Ingest"],
        "summary": "Send a submission",
        "description": "\n\n".join([description, *_words_by_type(offer, published), *map(domain_words, offer.domains)]),
        "parameters": [*_header_parameters(offer, examples), *_query_parameters()],
        "requestBody": {"required": True, "content": _request_content(offer, examples)},
        "responses": _responses(offer, examples),
        "x-rules": [{"id": rule, "href": f"/rules#{rule}"} for rule in _rules(offer)],
        "x-domains": [_domain(domain) for domain in offer.domains],
    }


def _rules(offer: Offer) -> tuple[str, ...]:
    """Ids of the rules that judge and route submissions, in alphabetical order."""
    found = (s.id for d in offer.domains for s in (*d.permits, *d.forbids, *d.checks, *d.routes))
    return tuple(sorted(found))


def _domain(domain: SendingDomain) -> Json:
    """What one domain takes, for programs: OpenAPI has no words for headers that go together."""
    accepts = [
        {"data-type": one.data_type, "types": list(one.types)}
        | ({"versions": one.versions} if one.versions else {})
        | ({"converted-with": list(one.overlays)} if one.overlays else {})
        for one in domain.accepts
    ]
    return {"source-domain": domain.name, "accepts": accepts, "acknowledge": domain.profile}


def _words_by_type(offer: Offer, published: Published) -> tuple[str, ...]:
    """What is said of one data type alone, where some domain takes it."""
    words = {
        "Hl7v2": (MODES, BATCHES.format(within=published.batch_within, limit=published.batch_limit)),
        "Fhir": (RESOURCES,),
        "Csv": (FILES.format(limit=published.file_limit, rows=published.rows_at_once),),
    }
    return tuple(said for data_type in offer.data_types for said in words.get(data_type, ()))


def _header_parameters(offer: Offer, examples: tuple[Example, ...]) -> list[Json]:
    """Headers of `/$ingest`; OpenAPI ignores ones called Content-Type or Authorization, which say so elsewhere."""
    codes = {code for code, _ in offer.organisations}
    shown = [example.organisation for example in examples if example.organisation in codes]
    domains = [(domain.name, domain.title) for domain in offer.domains]
    required = [
        _enumeration("source-domain", "The sending domain, whose rules judge the submission.", domains),
        _enumeration("organisation-code", "ODS code of the sending organisation.", offer.organisations)
        | ({"example": shown[0]} if shown else {}),
        _enumeration(
            "data-type", "What the body is; the capitalisation matters.", [(name, "") for name in offer.data_types]
        ),
    ]
    optional = [ref("parameters", "on-behalf-of")]
    if offer.purposes:
        optional.insert(0, ref("parameters", "purpose-of-use"))
    if set(offer.data_types) - {"Hl7v2"}:
        optional.insert(0, ref("parameters", "Idempotency-Key"))
    return required + optional


def _enumeration(name: str, words: str, values: Iterable[tuple[str, str]]) -> Json:
    """Required header with the values that the rules declare; each title is told beside its value."""
    pairs = list(values)
    listed = [f"- `{value}` {title}" for value, title in pairs if title]
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": "\n".join([words, *([""] if listed else []), *listed]),
        "schema": {"type": "string", "enum": [value for value, _ in pairs]},
    }


def _query_parameters() -> list[Json]:
    return [
        {
            "name": "dry-run",
            "in": "query",
            "description": "Read, decide, convert and answer as usual, but store nothing and take no key.",
            "schema": {"type": "boolean"},
        },
        {
            "name": "loss",
            "in": "query",
            "description": "`report` adds the loss report to the answer: which fields were mapped, ignored, unmapped.",
            "schema": {"type": "string", "enum": ["report"]},
        },
    ]


def _request_content(offer: Offer, examples: tuple[Example, ...]) -> Json:
    content: dict[str, dict[str, Json]] = {}
    for data_type in offer.data_types:
        sent = [e for e in examples if e.status is None and e.data_type == data_type]
        for media_type in MEDIA_TYPES[data_type]:
            content.setdefault(media_type, {}).update(
                _as_json(sent) if media_type == FHIR_JSON else {e.key: ref("examples", e.key) for e in sent}
            )
    return {
        media_type: {"schema": ref("schemas", "Resource") if media_type == FHIR_JSON else {"type": "string"}}
        | ({"examples": named} if named else {})
        for media_type, named in content.items()
    }


def _as_json(sent: Iterable[Example]) -> dict[str, Json]:
    """Bodies that are JSON as what they mean: where the media type says so, a text would be one within quotes."""
    found: dict[str, Json] = {}
    for example in sent:
        with contextlib.suppress(ValueError):  # a sample that shows a body which is no JSON is shown as text alone
            found[example.key] = {"summary": example.summary, "value": json.loads(example.value)}
    return found


def _responses(offer: Offer, examples: tuple[Example, ...]) -> Json:
    # what is no message is answered by status, whatever way of acknowledging messages a domain has
    plain = ["http-status"] if set(offer.data_types) - {"Hl7v2"} else []
    by_status = told([*(domain.profile for domain in offer.domains), *plain])
    return {str(status): _response(status, outcomes, offer, examples) for status, outcomes in by_status.items()}


def _response(
    status: int, outcomes: tuple[tuple[str, Outcome], ...], offer: Offer, examples: tuple[Example, ...]
) -> Json:
    content: Json = {}
    if "Hl7v2" in offer.data_types:
        named = {e.key: ref("examples", e.key) for e in examples if e.status == status and e.data_type == "Hl7v2"}
        content["text/plain"] = {"schema": ref("schemas", "Acknowledgement")} | ({"examples": named} if named else {})
    if status in OUTCOME_STATUSES or set(offer.data_types) - {"Hl7v2"}:
        named = {e.key: ref("examples", e.key) for e in examples if e.status == status and e.data_type == "Fhir"}
        taken = "Fhir" in offer.data_types and status in TAKEN
        schema = {"anyOf": [ref("schemas", name) for name in ("OperationOutcome", "ResponseBundle")]}
        content[FHIR_JSON] = {"schema": schema if taken else ref("schemas", "OperationOutcome")}
        content[FHIR_JSON] |= {"examples": named} if named else {}
    names = HEADERS.get(status, ())
    response: Json = {"description": _told(outcomes, offer)}
    if names:
        response["headers"] = {name: ref("headers", name) for name in names}
    return response | {"content": content}


def _told(outcomes: tuple[tuple[str, Outcome], ...], offer: Offer) -> str:
    """Outcomes of one status, each with the profiles under which it has this status where several are in use."""
    several = len({domain.profile for domain in offer.domains}) > 1
    profiles: dict[Outcome, list[str]] = {}
    for profile, outcome in outcomes:
        profiles.setdefault(outcome, []).append(f"`{profile}`")
    rows = [f"- {o.code}, {o.words}" + (f" ({' and '.join(p)})" if several else "") for o, p in profiles.items()]
    return "\n".join(rows)


def _receipt() -> Json:
    return {
        "operationId": "receipt",
        "tags": ["Ingest"],
        "summary": "State of a submission",
        "description": "Received, delivered, queued or dead, and why, target by target; for the principal that sent "
        "it alone. `Location` and the acknowledgement name the address. Of a `Csv` file also how far it is, its counts "
        "of rows, and the issues of its faulty rows. Once retention took a submission out, its receipt is 410, and "
        "404 a year later.",
        "parameters": [
            {"name": "id", "in": "path", "required": True, "description": "The receipt's id.",
             "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "The receipt.",
                "headers": {"Cache-Control": ref("headers", "Cache-Control")},
                "content": {"application/json": {"schema": ref("schemas", "Receipt")}},
            },
            **faults((400, 401, 403, 404, 410)),
        },
    }  # fmt: skip
