"""The example of a batch: messages of one domain between headers and trailers, and the batch that answers them.

Source: HL7 v2.5.1, chapter 2.10.3; `http-interface.md` of the design.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.documents.offer import Published
from gateway.hl7v2 import batch

CONTROL_ID = "BATCH-0001"


def body(published: Published, domain: str, organisation: str, messages: Sequence[str], told: datetime) -> str:
    """A batch as an engine may send it."""
    head = batch.write_header(
        "BHS", application="PAS", facility=organisation, domain=published.application, organisation=published.facility,
        id=CONTROL_ID, reference=None, comment=domain, now=told,
    )  # fmt: skip
    return _framed(head, messages)


def answer(
    published: Published,
    *,
    domain: str,
    organisation: str,
    acknowledgements: Sequence[str],
    id: str,  # noqa: A002 - BHS-11, called so in acknowledgements too
    told: datetime,
) -> str:
    """The batch of acknowledgements that answers it."""
    head = batch.write_header(
        "BHS", application=published.application, facility=published.facility, domain=domain, organisation=organisation,
        id=id, reference=CONTROL_ID, now=told,
    )  # fmt: skip
    return _framed(head, acknowledgements)


def _framed(head: bytes, messages: Sequence[str]) -> str:
    """Header, messages and trailer, whose segments end in CR as those of the acknowledgements do."""
    ended = [text.replace("\r\n", "\r").replace("\n", "\r").rstrip("\r") + "\r" for text in messages]
    return head.decode() + "".join(ended) + batch.write_trailer("BTS", len(messages)).decode()
