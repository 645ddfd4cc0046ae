"""The audit's chain: whatever is done to its rows is found, and the first bad row is named.

Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.journal.audit import AuditRow, stored
from gateway.journal.audit_anchors import Anchor, BadLine, anchor, line, read
from gateway.journal.audit_chain import Chaining, Link, keys_of
from gateway.journal.audit_rows import Kept
from gateway.journal.audit_verifying import Verified, Verifier
from tests.bounded import examples

OLD, NEW = b"k" * 32, b"n" * 32
KEYS = keys_of([NEW, OLD])
AT = "2026-11-22T12:00:00+00:00"
SAMPLES = settings(max_examples=examples(40), deadline=None)

words = st.text(st.characters(codec="utf-8"), max_size=12)
audit_rows = st.builds(
    AuditRow,
    at=st.just(AT), principal=words, user=st.none() | words, purpose=st.none() | words, action=words, what=words,
    rules=st.lists(words, max_size=3).map(tuple), outcome=words, digest=words, patients=st.lists(words).map(tuple),
)  # fmt: skip
several = st.lists(audit_rows, min_size=2, max_size=7)


def chained(rows: Sequence[AuditRow], chains: Sequence[str] = ("a",)) -> list[Kept]:
    """Rows as they are stored, those of several chains by turns; the key changes halfway."""
    linking = {name: Chaining(name, keys_of([OLD])) for name in chains}
    heads: dict[str, Link] = {}
    found = []
    for number, row in enumerate(rows):
        name = chains[number % len(chains)]
        if number == len(rows) // 2:
            for one in linking.values():
                one.keys = KEYS
        values, before = (number, *stored(row)), heads.get(name)
        heads[name] = linking[name].link(None if before is None else (before.seq, before.mac), values)
        found.append(Kept(number + 1, heads[name], values))
    return found


def verified(rows: Sequence[Kept], anchors: Sequence[Anchor] = ()) -> Verified:
    verifier = Verifier(KEYS, anchors)
    for row in rows:
        verifier.take(row)
    return verifier.verified()


def anchored(row: Kept) -> Anchor:
    assert row.link is not None
    return anchor(KEYS, AT, row.link, "")


@SAMPLES
@given(several, st.sampled_from([("a",), ("a", "b")]))
def test_what_nobody_touched_is_found_whole(rows: list[AuditRow], chains: tuple[str, ...]) -> None:
    kept = chained(rows, chains)
    found = verified(kept, [anchored(kept[0]), anchored(kept[-1])])
    assert (found.rows, found.chains, found.faults) == (len(rows), min(len(chains), len(rows)), ())


@SAMPLES
@given(several, st.data())
def test_a_change_of_any_column_is_found_at_its_row(rows: list[AuditRow], data: st.DataObject) -> None:
    kept = chained(rows)
    at, column = data.draw(st.integers(0, len(kept) - 1)), data.draw(st.integers(0, 10))
    values = list(kept[at].values)
    old = values[column]
    fitting: st.SearchStrategy[int | str] = st.integers(0, 1 << 50) if column == 0 else words
    values[column] = data.draw(fitting.filter(lambda new: new != old))
    kept[at] = replace(kept[at], values=tuple(values))
    (fault,) = verified(kept).faults
    assert (fault.kind, fault.id) == ("changed", at + 1)


@SAMPLES
@given(several, st.data())
def test_a_change_of_a_link_is_found(rows: list[AuditRow], data: st.DataObject) -> None:
    kept = chained(rows)
    at = data.draw(st.integers(0, len(kept) - 1))
    link = kept[at].link
    assert link is not None
    other = data.draw(
        st.sampled_from([
            link._replace(mac=bytes(32)), link._replace(chain="z"), link._replace(seq=link.seq + 100),
            link._replace(key=next(key for key in KEYS.secrets if key != link.key)), link._replace(key="f" * 16),
        ])
    )  # fmt: skip
    kept[at] = replace(kept[at], link=other)
    found = verified(kept, [anchored(chained(rows)[-1])])
    assert found.faults
    assert min(fault.id or 0 for fault in found.faults) <= at + 1


@SAMPLES
@given(several, st.data())
def test_a_row_that_was_taken_out_is_missed(rows: list[AuditRow], data: st.DataObject) -> None:
    kept = chained(rows)
    first = data.draw(st.integers(0, len(kept) - 2))
    last = data.draw(st.integers(first, len(kept) - 2))
    (fault,) = verified([*kept[:first], *kept[last + 1 :]]).faults
    assert (fault.kind, fault.id) == ("removed", first or None)
    which = f"row {first + 1} of the chain is" if first == last else f"rows {first + 1} to {last + 1} of the chain are"
    assert fault.words == f"{which} missing"


@SAMPLES
@given(several, st.data(), audit_rows)
def test_a_row_that_was_put_in_is_found(rows: list[AuditRow], data: st.DataObject, forged: AuditRow) -> None:
    kept = chained(rows)
    at = data.draw(st.integers(1, len(kept)))
    model = kept[at - 1].link
    assert model is not None
    # whoever has no key has only hashes that are there
    link = data.draw(
        st.sampled_from([None, model, model._replace(seq=model.seq + 1), model._replace(chain="z", seq=1)])
    )
    put = Kept(at, link, (at, *stored(forged)))
    found = verified([*kept[:at], put, *kept[at:]])
    assert found.faults
    assert found.faults[0].id in {at, at + 1}


@SAMPLES
@given(several, st.data())
def test_rows_that_changed_places_are_found(rows: list[AuditRow], data: st.DataObject) -> None:
    kept = chained(rows)
    one = data.draw(st.integers(0, len(kept) - 2))
    other = data.draw(st.integers(one + 1, len(kept) - 1))
    moved = [*kept]
    moved[one], moved[other] = replace(kept[other], id=kept[one].id), replace(kept[one], id=kept[other].id)
    faults = verified(moved).faults
    assert faults
    assert "reordered" in {fault.kind for fault in faults}
    swapped = [*kept]
    swapped[one], swapped[other] = (
        replace(kept[one], values=kept[other].values), replace(kept[other], values=kept[one].values),
    )  # fmt: skip
    found = verified(swapped).faults
    assert [(fault.kind, fault.id) for fault in found][:1] == [("changed", one + 1)]


@SAMPLES
@given(several, st.data())
def test_rows_that_went_from_the_end_are_missed_where_an_anchor_names_one_of_them(
    rows: list[AuditRow], data: st.DataObject
) -> None:
    kept = chained(rows)
    left = data.draw(st.integers(0, len(kept) - 1))
    named = data.draw(st.integers(left, len(kept) - 1))
    (fault,) = verified(kept[:left], [anchored(kept[0]), anchored(kept[named])]).faults
    assert (fault.kind, fault.id) == ("truncated", left or None)
    assert verified(kept[: named + 1], [anchored(kept[named])]).faults == ()


@SAMPLES
@given(several, st.data())
def test_who_has_the_key_and_writes_the_rows_anew_meets_the_anchors(rows: list[AuditRow], data: st.DataObject) -> None:
    kept = chained(rows)
    at = data.draw(st.integers(0, len(kept) - 1))
    anew = chained([replace(row, outcome=f"{row.outcome}!") if n == at else row for n, row in enumerate(rows)])
    assert verified(anew).faults == ()
    assert verified(anew, [anchored(kept[-1])]).faults[0].kind == "changed"


def test_rows_from_before_there_were_chains_stand_before_the_first_that_is_in_one() -> None:
    row = AuditRow(AT, "p", None, None, "read", "Patient", (), "permit", "d")
    before = Kept(1, None, (0, *stored(row)))
    kept = [replace(one, id=one.id + 1) for one in chained([row, row])]
    assert verified([before, *kept]).unchained == 1
    assert verified([before, *kept]).faults == ()
    (fault,) = verified([*kept, replace(before, id=9)]).faults
    assert (fault.kind, fault.id) == ("inserted", 9)


def test_a_row_whose_key_is_gone_is_not_taken_for_good() -> None:
    row = AuditRow(AT, "p", None, None, "read", "Patient", (), "permit", "d")
    verifier = Verifier(keys_of([b"x" * 32]))
    for kept in chained([row]):
        verifier.take(kept)
    assert [fault.kind for fault in verifier.verified().faults] == ["unknown key"]


# --- anchors -------------------------------------------------------------------------------------------------------


def log(count: int) -> list[bytes]:
    """The lines of a log of so many anchors."""
    row = AuditRow(AT, "p", None, None, "read", "Patient", (), "permit", "d")
    seal, lines = "", []
    for kept in chained([row] * count):
        assert kept.link is not None
        one = anchor(KEYS, AT, kept.link, seal)
        seal = one.seal
        lines.append(line(one))
    return lines


@SAMPLES
@given(st.integers(3, 8), st.data())
def test_a_log_of_anchors_is_itself_sealed_line_by_line(count: int, data: st.DataObject) -> None:
    lines = log(count)
    whole = list(read("anchors", b"".join(lines), KEYS))
    assert all(isinstance(one, Anchor) for one in whole)
    at = data.draw(st.integers(0, count - 2))
    taken_out = [*lines[:at], *lines[at + 1 :]] if at else [*lines[:1], *lines[2:], lines[1]]
    changed = [*lines[:at], lines[at].replace(b'"seq":', b'"seq":9'), *lines[at + 1 :]]
    for bad in (taken_out, changed, [*lines, b"nonsense\n"]):
        assert any(isinstance(one, BadLine) for one in read("anchors", b"".join(bad), KEYS))


@pytest.mark.parametrize("secrets", [[], [b"short"]])
def test_keys_are_of_one_length(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys_of(secrets)
