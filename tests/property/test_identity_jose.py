"""Signed texts under change: nothing but the text as signed is ever accepted, and nothing breaks the reader."""

from __future__ import annotations

import base64
import json
import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from gateway.identity import jose
from gateway.identity.form import BadForm
from gateway.identity.form import read as read_form
from gateway.identity.scopes import BadScope
from gateway.identity.scopes import read as read_scope
from tests.bounded import examples

KEY = ECKey.generate_key("P-256")
TOKEN = jose.sign(KEY, {"alg": "ES256", "typ": "at+jwt", "kid": "k"}, {"sub": "demo-partner", "exp": 1_800_000_000})
ANYTHING = string.ascii_letters + string.digits + "-_.+/= \n\0\u00e9"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def accepted(text: str) -> bool:
    try:
        signed = jose.read(text, algorithms={"ES256"}, types={"at+jwt"})
    except jose.BadJws:
        return False
    return jose.holds(signed, KEY)


def test_the_token_as_signed_is_accepted() -> None:
    assert accepted(TOKEN)


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ANYTHING))
def test_no_change_of_one_character_is_accepted(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assert accepted(changed) == (changed == TOKEN)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, len(TOKEN)), st.sampled_from(ANYTHING), st.booleans())
def test_no_insertion_or_cut_is_accepted(place: int, character: str, insert: bool) -> None:  # noqa: FBT001 - given by hypothesis
    changed = TOKEN[:place] + (character if insert else "") + TOKEN[place + (not insert) :]
    assert not accepted(changed) or changed == TOKEN


@settings(max_examples=examples(60), deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), json_values), json_values)
def test_any_header_and_payload_are_read_or_refused(header: dict[str, Any], payload: object) -> None:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    assert not accepted(".".join([*parts, "AAAA"]))


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=60) | st.text("ab.e30", max_size=30))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    assert not accepted(text)


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(st.sampled_from(["exp", "name"]), json_values))
def test_claims_are_read_or_refused(claims: dict[str, Any]) -> None:
    try:
        instant = jose.instant(claims, "exp")
        text = jose.text_claim(claims, "name", 10)
    except jose.BadJws:
        return
    assert instant is None or 0 <= instant < 10**11
    assert text is None or (0 < len(text) <= 10 and text.isprintable())


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=80), st.lists(st.text(max_size=30), max_size=2))
def test_any_form_is_read_or_refused(body: bytes, authorization: list[str]) -> None:
    content_type = ["application/x-www-form-urlencoded"]
    try:
        request = read_form(body, content_type=content_type, authorization=authorization, query="")
    except BadForm:
        return
    assert request.fields["grant_type"]
    assert len(authorization) <= 1


@settings(max_examples=examples(200), deadline=None)
@given(st.text("systemingest/*.cruds PatientReadwrite?=&", max_size=30))
def test_a_scope_that_is_read_is_given_as_asked(scope: str) -> None:
    try:
        names = read_scope(scope)
    except BadScope:
        return
    assert set(names) == set(scope.split(" ")) - {""}
    assert all(name == "ingest" or name.startswith("system/") for name in names)
