"""A paging token's length tells nothing of how much there is that its caller may not see.

Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

from gateway.interactions.paging import Paging, Place, Ticket

PAGING = Paging(b"A" * 43 + b"=")


def length(asked: str, position: str, skip: int) -> int:
    place = Place(f"http://embedded/Flag?patient={asked}&_page={position}", skip, len(f"patient={asked}"))
    return len(PAGING.token(Ticket("a", "TREAT", "Flag", (("patient", asked),), "view", place)))


def test_whatever_is_asked_a_long_place_has_a_token_as_long_as_a_short_one() -> None:
    """A caller who makes its query longer bit by bit finds no length at which the place makes a difference."""
    for more in range(1100):
        asked = "x" * more
        assert length(asked, "MS4x", 1) == length(asked, "MTIzNDU2Nzg5LjEyMzQ1", 499)


def test_a_place_that_takes_more_room_is_kept_whole() -> None:
    place = Place("http://elsewhere/" + "y" * 3000, 2)
    ticket = PAGING.ticket(PAGING.token(Ticket("a", None, "Flag", (), "view", place)))
    assert ticket is not None
    assert ticket.place == place


def test_a_token_is_taken_as_it_was_given_alone() -> None:
    """Base64 is read leniently: what stands behind the padding, or is none of its letters, would be passed over."""
    place = Place("http://elsewhere/", 2)
    for more in range(0, 1024, 64):
        token = PAGING.token(Ticket("a", None, "Flag", (("patient", "x" * more),), "view", place))
        assert PAGING.ticket(token) is not None
        assert PAGING.ticket(f"{token[:9]}\n{token[9:]}") is None
        assert PAGING.ticket(f" {token}") is None
        for behind in ("A", "=", "=A", "\u00e9"):
            assert PAGING.ticket(token + behind) is None
