"""Properties of search parsing."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import query, specs
from gateway.specs import SearchParameter
from tests.bounded import examples

TABLES = specs.fhir()
TYPES = ("Patient", "Encounter", "Observation", "RiskAssessment", "ValueSet")
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

plain = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
escaped = plain.map(query.escape)
ids = st.from_regex(r"[A-Za-z0-9.\-]{1,20}", fullmatch=True)
prefixed = st.sampled_from(PREFIXES)
moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9998, 12, 30))  # noqa: DTZ001  a zone is drawn beside it


@st.composite
def dates(draw: st.DrawFn) -> str:
    moment = draw(moments)
    form = draw(st.sampled_from(("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "fraction")))
    if form == "fraction":
        text = moment.isoformat(timespec="microseconds")
    else:
        # strftime writes years before 1000 without their zeros
        text = f"{moment.year:04}" + moment.strftime(form[2:])
    zone = draw(st.sampled_from(("", "Z", "+01:00", "-05:30"))) if "T" in text else ""
    return draw(prefixed) + text + zone


tokens = st.one_of(
    escaped, st.builds("{}|{}".format, escaped, escaped), escaped.map("{}|".format), escaped.map("|{}".format)
)
numbers = st.builds(
    "{}{}".format, prefixed, st.decimals(allow_nan=False, allow_infinity=False, places=3, max_value=10**9)
)
quantities = st.one_of(numbers, st.builds("{}|{}|{}".format, numbers, escaped, escaped))

VALUES = {
    "string": escaped,
    "token": tokens,
    "uri": escaped,
    "date": dates(),
    "number": numbers,
    "quantity": quantities,
}


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    resource_type = draw(st.sampled_from(TYPES))
    names = query.names(resource_type, TABLES)
    pairs = []
    for name in draw(st.lists(st.sampled_from(names), max_size=4)):
        parameter = TABLES.search_parameters[resource_type, name]
        modifiers = [m for m in parameter.modifiers if m in query.MODIFIERS_OFFERED and m != "[type]"]
        modifier = draw(st.sampled_from(["", *modifiers, *parameter.targets]))
        if modifier == "missing":
            values: st.SearchStrategy[str] = st.sampled_from(("true", "false"))
        elif name == "_id":
            values = ids
        elif modifier == "text":
            values = escaped
        elif parameter.type == "reference":
            of = modifier or draw(st.sampled_from(parameter.targets or ("Patient",)))
            values = st.one_of(ids, ids.map(f"{of}/{{}}".format), ids.map(f"http://x.example/{of}/{{}}".format))
        else:
            values = VALUES[parameter.type]
        raw = ",".join(draw(st.lists(values, min_size=1, max_size=3)))
        pairs.append((f"{name}:{modifier}" if modifier else name, raw))
    if draw(st.booleans()):
        pairs.append(("_count", str(draw(st.integers(0, 1000)))))
    if draw(st.booleans()):
        pairs.append(("_sort", draw(st.sampled_from(("", "-"))) + draw(st.sampled_from(names))))
    return resource_type, pairs


@settings(max_examples=examples(200), deadline=None)
@given(searches())
def test_a_right_search_is_taken_and_rendering_it_gives_it_back(search: tuple[str, list[tuple[str, str]]]) -> None:
    resource_type, pairs = search
    found = query.parse(resource_type, pairs, TABLES)
    assert isinstance(found, query.Query), found
    assert query.render(found) == pairs
    assert query.parse(resource_type, query.render(found), TABLES) == found


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from((*TYPES, "Nothing")),
    st.lists(
        st.tuples(
            st.one_of(
                st.text(max_size=8), st.sampled_from(("family", "birthdate", "_count", "subject", "identifier:x"))
            ),
            st.text(max_size=12),
        ),
        max_size=5,
    ),
)
def test_any_text_is_taken_whole_or_refused_and_nothing_is_dropped(
    resource_type: str, pairs: list[tuple[str, str]]
) -> None:
    found = query.parse(resource_type, pairs, TABLES)
    if isinstance(found, query.Query):
        assert sorted(query.render(found)) == sorted((n, str(int(v)) if n == "_count" else v) for n, v in pairs)
    else:
        assert found
        assert all(finding.severity == "error" and finding.rule for finding in found)


@settings(max_examples=examples(200), deadline=None)
@given(plain)
def test_escaping_comes_back(text: str) -> None:
    assert query.unescape(query.escape(text)) == text
    found = query.narrow(query.Query("Patient"), "family", [text], TABLES)
    assert found.clauses[0].values == (query.StringValue(query.escape(text), text),)


@settings(max_examples=examples(200), deadline=None)
@given(moments, st.sampled_from(("%Y", "%Y-%m", "%Y-%m-%d")))
def test_a_day_lies_in_every_date_that_it_begins_with(moment: datetime, form: str) -> None:
    text = f"{moment.year:04}" + moment.strftime(form[2:])
    found = query.parse("Patient", [("birthdate", text)], TABLES)
    assert isinstance(found, query.Query)
    value = found.clauses[0].values[0]
    assert isinstance(value, query.DateValue)
    assert value.low <= moment.replace(tzinfo=UTC) < value.high


# --- the whole of R4 search ----------------------------------------------------------------------------------------


@st.composite
def values_of(draw: st.DrawFn, name: str, parameter: SearchParameter, modifier: str) -> str:
    """A value that a parameter may have under a modifier."""
    if modifier == "missing":
        return draw(st.sampled_from(("true", "false")))
    if name == "_id":
        return draw(ids)
    if modifier in {"text", "contains", "exact"}:
        return draw(escaped)
    if modifier == "of-type":
        return "|".join(draw(st.tuples(escaped, escaped, escaped)))
    if parameter.type == "reference":
        of = modifier or draw(st.sampled_from(parameter.targets or ("Patient",)))
        return draw(st.one_of(ids, ids.map(f"{of}/{{}}".format), ids.map(f"http://x.example/{of}/{{}}".format)))
    return draw(VALUES[parameter.type])


@st.composite
def clauses(draw: st.DrawFn, resource_type: str) -> tuple[str, str]:
    names = [name for name in query.names(resource_type, TABLES) if name != "_profile"]
    name = draw(st.sampled_from(names))
    parameter = TABLES.search_parameters[resource_type, name]
    taken = [m for m in parameter.modifiers if m in query.FACADE.modifiers and m != "[type]"]
    taken = [m for m in taken if (parameter.type, m) not in query.NEEDING_MORE]
    taken = [m for m in taken if m != "of-type" or query.of_identifiers(parameter, TABLES)]
    modifier = draw(st.sampled_from(["", *taken, *parameter.targets]))
    raw = ",".join(draw(st.lists(values_of(name, parameter, modifier), min_size=1, max_size=2)))
    return (f"{name}:{modifier}" if modifier else name), raw


def referring(resource_type: str) -> list[tuple[str, SearchParameter]]:
    every = TABLES.search_parameters.items()
    return [(code, p) for (base, code), p in every if base == resource_type and p.type == "reference" and p.targets]


@st.composite
def linked(draw: st.DrawFn, resource_type: str, hops: int = 3) -> tuple[str, str]:
    """A criterion, at the end of chains and `_has`."""
    way = draw(st.sampled_from(("here", "chain", "has"))) if hops else "here"
    chains = [(code, t) for code, p in referring(resource_type) for t in p.targets if t in TYPES]
    back = [(t, code) for t in TYPES for code, p in referring(t) if resource_type in p.targets]
    if way == "chain" and chains:
        code, target = draw(st.sampled_from(chains))
        name, raw = draw(linked(target, hops - 1))
        return f"{code}:{target}.{name}", raw
    if way == "has" and back:
        source, code = draw(st.sampled_from(back))
        name, raw = draw(linked(source, hops - 1))
        return f"_has:{source}:{code}:{name}", raw
    return draw(clauses(resource_type))


@st.composite
def whole(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A search with whatever R4 has."""
    kind = draw(st.sampled_from(("Patient", "Encounter", "Observation")))
    pairs = draw(st.lists(linked(kind), max_size=3))
    includes = [f"{kind}:{code}{aim}" for code, p in referring(kind) for aim in ("", f":{p.targets[0]}")]
    back = [f"{t}:{code}" for t in TYPES for code, p in referring(t) if kind in p.targets]
    pairs += [("_include", one) for one in draw(st.lists(st.sampled_from(["*", f"{kind}:*", *includes]), max_size=2))]
    pairs += [("_revinclude", one) for one in draw(st.lists(st.sampled_from(["*", *back]), max_size=2))]
    further = [f"{t}:{code}" for t in TYPES for code, _ in referring(t)]
    pairs += [("_include:iterate", one) for one in draw(st.lists(st.sampled_from(further), max_size=2))]
    results = {
        "_count": st.integers(0, 999).map(str), "_sort": st.sampled_from(("_id", "-_lastUpdated", "_id,-_lastUpdated")),
        "_elements": st.sampled_from(("id", "identifier,status" if kind != "Patient" else "identifier,name")),
        "_summary": st.sampled_from(("true", "text", "data", "count", "false")), "_format": st.just("json"),
        "_total": st.sampled_from(("none", "estimate", "accurate")), "_pretty": st.sampled_from(("true", "false")),
    }  # fmt: skip
    for name, given_ in results.items():
        if draw(st.booleans()):
            pairs.append((name, draw(given_)))
    return kind, draw(st.permutations(pairs))


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole())
def test_any_search_of_the_standard_is_the_same_after_it_is_rendered(search: tuple[str, list[tuple[str, str]]]) -> None:
    kind, pairs = search
    found = query.parse(kind, pairs, TABLES, query.FACADE)
    assert isinstance(found, query.Query), found
    rendered = query.render(found)
    assert sorted(rendered) == sorted(pairs)
    assert query.parse(kind, rendered, TABLES, query.FACADE) == found
    sent = parse_qsl(urlencode(rendered), keep_blank_values=True)
    assert query.parse(kind, sent, TABLES, query.FACADE) == found, "and after it went over HTTP"
