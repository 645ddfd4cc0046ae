"""What stands around the acknowledgements of a batch: headers that echo the sender's, trailers that count.

An answer is always a whole file by the standard's grammar, whatever the sender left out: every acknowledgement stands
within BHS and BTS, and where there was an FHS, within FHS and FTS.
Source: HL7 v2.5.1, chapter 2.10.3, 2.15.2 (BHS), 2.15.3 (BTS), 2.15.6 (FHS), 2.15.7 (FTS).
"""

from __future__ import annotations

import uuid
from typing import Literal

from gateway.hl7v2 import batch
from gateway.interactions.acknowledge import Sender
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown


class Frame:
    """The headers and trailers of one answer, in the order in which they are due.

    Shape: `warnings` are what the trailers' comments (BTS-2, FTS-2) and the headers' (FHS-10, BHS-10) tell as well.
    """

    def __init__(self, gateway: Gateway, sender: Sender) -> None:
        """Begin an answer; nothing is open."""
        self._gateway = gateway
        self._sender = sender
        self._in_file = self._in_batch = False
        self._acknowledged = self._messages = self._batches = self._declared = 0
        self._warnings: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the sender should look at."""
        return tuple(self._warnings)

    def opened(self, name: Literal["FHS", "BHS"], raw: bytes) -> bytes:
        """Answer a header: what was open ends, and a header of our own names it (FHS-12, BHS-12)."""
        said = batch.header(raw)
        comment = "" if said.fault is None else self._warned(f"{name} can not be read, {said.fault}")
        if name == "FHS":
            return self.ended() + self._begin_file(said.control_id, comment)
        self._declared += 1
        return self._end_batch("") + self._begin_batch(said.control_id, comment)

    def acknowledged(self, *, is_message: bool) -> bytes:
        """Make way for an acknowledgement: a batch begins where the sender's has no header."""
        begun = b"" if self._in_batch else self._begin_batch(None, "")
        self._acknowledged += 1
        self._messages += is_message
        return begun

    def closed(self, name: Literal["BTS", "FTS"], raw: bytes) -> bytes:
        """Answer a trailer; a count that disagrees with what came is a warning, since what came is settled by then."""
        said = batch.count(raw)
        if name == "BTS":
            begun = b"" if self._in_batch else self._begin_batch(None, "")
            return begun + self._end_batch(self._compared("BTS-1", said, {self._messages}, "messages"))
        ended = self._end_batch("")
        return ended + self._end_file(self._compared("FTS-1", said, {self._batches, self._declared}, "batches"))

    def ended(self) -> bytes:
        """Close what the sender left open."""
        return self._end_batch("") + self._end_file("")

    def _begin_file(self, reference: str | None, comment: str) -> bytes:
        self._in_file, self._batches, self._declared = True, 0, 0
        return self._header("FHS", reference, comment)

    def _end_file(self, comment: str) -> bytes:
        written = batch.write_trailer("FTS", self._batches, comment) if self._in_file else b""
        self._in_file, self._batches, self._declared = False, 0, 0
        return written

    def _begin_batch(self, reference: str | None, comment: str) -> bytes:
        self._in_batch, self._acknowledged, self._messages = True, 0, 0
        self._batches += 1
        return self._header("BHS", reference, comment)

    def _end_batch(self, comment: str) -> bytes:
        written = batch.write_trailer("BTS", self._acknowledged, comment) if self._in_batch else b""
        self._in_batch = False
        return written

    def _header(self, name: Literal["FHS", "BHS"], reference: str | None, comment: str) -> bytes:
        settings = self._gateway.settings
        return batch.write_header(
            name, application=settings.application, facility=settings.facility, domain=self._sender.domain,
            organisation=self._sender.organisation, id=str(uuid.uuid4()), reference=reference, comment=comment,
            now=self._gateway.clock(),
        )  # fmt: skip

    def _compared(self, field: str, said: str, counted: set[int], things: str) -> str:
        """Comment of a trailer: empty where the count agrees, or none was sent (it is optional)."""
        if not said or (said.isdecimal() and int(said[:10]) in counted):
            return ""
        came = f"{field} says {shown(said)} and {max(counted)} {things} came"
        return self._warned(f"{came}: compare the acknowledgements with what was sent")

    def _warned(self, words: str) -> str:
        self._warnings.append(words)
        return f"warning: {words}"
