"""What fault runs conclude from what they saw: a scenario that could not fail would show nothing."""

from __future__ import annotations

import pytest

from tests.fault.__main__ import shares
from tests.fault.engines import Tally
from tests.fault.results import section, sections, written
from tests.fault.scenario import Scenario
from tests.fault.synced import LOGS, events, judged

CAME = '10.0 read(20<TCP:[a->b]>, "POST /$ingest HTTP/1.1\\r\\nMSH||PAS||||1||ADT^A01^ADT_A01|T-0000001|P|", 9) = 9'
LEFT = '10.5 write(20<TCP:[b->a]>, "HTTP/1.1 200 OK\\r\\nMSH|^~\\\\&|DEX\\rMSA|AA|T-0000001|{", 9) = 9'
LOGGED = '10.6 write(2</dev/null>, "MSA|AA|T-0000001|", 9) = 9'


def wal(at: float, call: str, result: str = "= 0") -> str:
    return f'{at} {call}(14</data/journal.db-wal>, "", 0, 0) {result}'


@pytest.mark.parametrize(
    ("calls", "early"),
    [
        ([wal(10.1, "pwrite64"), wal(10.2, "fdatasync"), wal(10.3, "pwrite64"), wal(10.4, "fdatasync")], 0),
        ([wal(10.1, "pwrite64"), wal(10.3, "pwrite64"), wal(10.4, "fdatasync")], 1),  # once for two commits
        ([wal(10.1, "fdatasync"), wal(10.2, "fdatasync"), wal(10.4, "pwrite64")], 1),  # written behind the last sync
        ([wal(10.1, "pwrite64"), wal(10.2, "pwrite64")], 1),
        ([wal(10.1, "fdatasync"), wal(10.4, "fdatasync", "= -1 EIO (Input/output error)")], 1),
        ([wal(9.1, "fdatasync"), wal(9.4, "fdatasync"), wal(10.6, "fdatasync")], 1),  # before and after
        ([], 1),
    ],
)
def test_a_log_that_is_not_synced_between_message_and_answer_is_seen(calls: list[str], early: int) -> None:
    found = [*events(iter([CAME, LEFT, LOGGED]), LOGS["sqlite"]), *events(iter(calls), LOGS["sqlite"])]
    counts = judged(found)
    assert (counts["acknowledged"], counts["acknowledged before it was synced"]) == (1, early)


def test_a_message_without_an_answer_is_seen() -> None:
    assert judged(list(events(iter([CAME]), LOGS["sqlite"])))["never acknowledged"] == 1


def test_a_run_is_wrong_where_it_saw_what_may_not_be_or_nothing_at_all() -> None:
    one = Scenario("t", lambda folder, times, seed: {}, 1, 1)  # noqa: ARG005 - it is not run
    assert one.wrong({"acknowledged": 5, "lost": 0}) == ()
    assert one.wrong({"acknowledged": 5, "lost": 2, "doubled": 1}) == ("2 lost", "1 doubled")
    assert one.wrong({"acknowledged": 0}) == ("no acknowledged",)


def test_a_mutant_is_wrong_where_nobody_noticed_it() -> None:
    one = Scenario("t", lambda folder, times, seed: {}, 1, 1, mutant=True)  # noqa: ARG005 - it is not run
    assert one.wrong({"acknowledged": 5, "lost": 1}) == ()
    assert one.wrong({"acknowledged": 5, "lost": 0}) == ("the mutant was not noticed",)


def test_a_run_writes_its_section_and_leaves_the_others() -> None:
    order = ("a", "b", "c")
    first = written("", {"b": section("b", "second", "m", {"lost": 0, "seen": 3}, ("lost",))}, order)
    both = written(first, {"a": section("a", "first", "m", {"lost": 0}, ("lost",))}, order)
    assert list(sections(both)) == ["a", "b"]
    assert "| **lost** | 0 |\n| seen | 3 |" in sections(both)["b"]
    again = written(both, {"b": section("b", "second", "m", {"lost": 1}, ("lost",))}, order)
    assert list(sections(again)) == ["a", "b"]
    assert "| **lost** | 1 |" in again
    assert "seen" not in again
    assert again.count("# Fault runs") == 1


def test_an_acknowledgement_counts_as_false_where_its_message_was_sent_while_nothing_could_be_kept() -> None:
    tally = Tally(times=[(1.0, 2.5), (2.1, 2.5), (2.1, 3.5), (4.0, 4.1)])
    assert tally.within(2.0, 3.0) == 1
    assert tally.within(2.0, 4.0) == 2


@pytest.mark.parametrize(("times", "parts", "each"), [(20, 1, [20]), (10, 3, [4, 3, 3]), (2, 5, [1, 1])])
def test_the_parts_of_a_run_come_to_all_of_it(times: int, parts: int, each: list[int]) -> None:
    assert shares(times, parts) == each
