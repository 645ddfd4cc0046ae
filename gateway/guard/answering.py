"""How an answer is written: its head together with the first bytes of its body, so a client is woken once for both.

Source: the ASGI specification, "HTTP Connection Scope": a server waits with the head for the first event of the body;
RFC 9112 sections 4, 6 and 7.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn._types import ASGISendEvent

START, BODY = "http.response.start", "http.response.body"
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CLOSES = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_LAST = b"0\r\n\r\n"
_BODILESS = frozenset({204, 304})


class Answering(RequestResponseCycle):
    """One request and its answer, as uvicorn has it. Shape: `_head` is what was not written yet."""

    _head = b""

    async def send(self, message: ASGISendEvent) -> None:
        """Write a part of the answer.

        Errors: RuntimeError for what is no answer in HTTP: nothing of it was written then.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        told = cast("dict[str, Any]", message)
        expected = BODY if self.response_started else START
        if self.response_complete or told["type"] != expected:
            words = "nothing" if self.response_complete else expected
            raise RuntimeError(f"expected was {words}, and {told['type']} was sent")
        if self.response_started:
            self._send_body(told.get("body", b""), more=told.get("more_body", False))
            return
        self._head = self._headed(told["status"], told.get("headers", ()))
        self.response_started = True
        self.waiting_for_100_continue = False

    def _headed(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of an answer; what it says of the body is held to. Errors: RuntimeError."""
        parts = [STATUS_LINE[status]]
        closes = False
        for name, value in (*self.default_headers, *headers):
            if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
                raise RuntimeError("a header field of the answer is none")
            lower = name.lower()
            if lower == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif lower == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length, self.chunked_encoding = 0, True
            elif lower == b"connection" and b"close" in [option.strip().lower() for option in value.split(b",")]:
                self.keep_alive, closes = False, True
            parts.append(b"%b: %b\r\n" % (lower, value))
        if not self.keep_alive and not closes:
            parts.append(_CLOSES)
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            parts.append(_CHUNKED)
        parts.append(b"\r\n")
        return b"".join(parts)

    def _send_body(self, body: bytes, *, more: bool) -> None:
        """Write bytes of the body, the head before the first of them. Errors: RuntimeError."""
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else _LAST)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("the body of the answer is not as long as its head says")
        head, self._head = self._head, b""
        if head and body:
            self.transport.writelines((head, body))
        elif head or body:
            self.transport.write(head or body)
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
