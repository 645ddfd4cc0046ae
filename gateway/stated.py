"""Faults whose words are for people."""

from __future__ import annotations


class Stated(Exception):  # noqa: N818 - a base for those that say what is at fault
    """What can't be done, said for the person who asked: a command prints its words and ends."""

    def before(self) -> tuple[str, ...]:
        """What is shown before the words, such as diagnostics with their lines and carets."""
        return ()
