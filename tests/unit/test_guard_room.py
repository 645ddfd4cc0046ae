"""Who gives way where there is no room, and how seldom anybody is looked at for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.guard.room import REST, Room

ROOM = 200
COMES = 10_000


@dataclass(eq=False)
class One:
    """A connection that waits, or is at work; it counts how often it is looked at."""

    room: Room
    whose: str
    waits: tuple[int, float] | None = None
    looked: int = 0
    ended: list[str] = field(default_factory=list)

    @property
    def standing(self) -> tuple[int, float] | None:
        self.looked += 1
        return None if self.ended else self.waits

    def give_way(self) -> None:
        self.ended.append("gave way")

    def refuse_room(self) -> None:
        self.ended.append("refused")
        self.room.leaves(self)

    def cut_off(self) -> None:
        self.ended.append("cut off")


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def filled(clock: Clock, *parties: str, waits: tuple[int, float] | None = None) -> tuple[Room, list[One]]:
    """A room with no room left, held by these parties in turn."""
    room = Room(ROOM, clock)
    held = [One(room, parties[number % len(parties)], waits) for number in range(ROOM)]
    for one in held:
        room.enter(one)
    assert not any(one.ended or one.looked for one in held)
    return room, held


def test_a_flood_looks_at_who_is_at_work_once_in_a_while_alone() -> None:
    clock = Clock()
    room, held = filled(clock, *(f"10.0.0.{number}" for number in range(ROOM)))
    for number in range(COMES):
        clock.now = number * REST / 1000
        room.enter(came := One(room, "10.9.9.9"))
        assert came.ended[:1] == ["refused"]
        room.left(came)
    assert sum(one.looked for one in held) <= ROOM * (COMES / 1000 + 1)
    assert not any(one.ended for one in held)


def test_a_flood_of_those_that_wait_takes_room_from_itself_and_is_looked_at_little() -> None:
    """All but a few are at work, and each newcomer waits: the next one ends it."""
    clock = Clock()
    room, held = filled(clock, "10.0.0.1")
    for one in held[-3:]:
        room.left(one)
    flood = [One(room, "10.9.9.9", (0, float(number))) for number in range(COMES)]
    for number, one in enumerate(flood):
        clock.now = number * REST / 1000
        room.enter(one)
    assert not any(one.ended for one in held)
    assert 1 <= sum(not one.ended for one in flood) <= 3, "some go together"
    assert sum(one.looked for one in (*held, *flood)) <= ROOM * (COMES / 1000 + 1) + 5 * COMES


def test_who_rested_is_found_again_once_it_waits() -> None:
    clock = Clock()
    room, held = filled(clock, "10.0.0.1", "10.0.0.2")
    room.enter(first := One(room, "10.0.0.3"))
    assert first.ended == ["refused"]
    held[7].waits = (1, 0.0)
    clock.now = REST
    room.enter(second := One(room, "10.0.0.3"))
    assert second.ended == []
    assert [one for one in held if one.ended] == [held[7]]


def test_of_many_that_wait_the_longest_go_some_together_of_who_holds_most() -> None:
    clock = Clock()
    room, held = filled(clock, "10.0.0.1", "10.0.0.1", "10.0.0.2")
    for number, one in enumerate(held):
        one.waits = (1, float(-number))
    room.enter(One(room, "10.0.0.3"))
    gone = [one for one in held if one.ended]
    assert {one.whose for one in gone} == {"10.0.0.1"}
    assert gone == [one for one in held if one.whose == "10.0.0.1"][-ROOM // 50 :]
    looked = sum(one.looked for one in held)
    for _ in range(ROOM // 50 - 1):
        room.enter(One(room, "10.0.0.3"))
    assert sum(one.looked for one in held) == looked, "there was room for these"


def test_who_holds_most_is_refused_where_all_of_its_own_are_at_work() -> None:
    clock = Clock()
    room, held = filled(clock, "10.0.0.1", "10.0.0.1", "10.0.0.2")
    for one in held:
        one.waits = (1, 0.0) if one.whose == "10.0.0.2" else None
    room.enter(more := One(room, "10.0.0.1"))
    assert more.ended == ["refused"]
    assert not any(one.ended for one in held)


def test_what_is_no_more_leaves_nothing_behind() -> None:
    clock = Clock()
    room, held = filled(clock, "10.0.0.1", "10.0.0.2", waits=(0, 0.0))
    for number in range(ROOM):
        room.enter(one := One(room, f"10.1.0.{number}", (0, 1.0)))
        held.append(one)
    for one in held:
        room.left(one)
    assert (room._number, room._parties, room._ranks, room._resting, room._leaving) == (0, {}, {}, {}, {})
