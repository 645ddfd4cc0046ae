"""What stands between a connection and the application: one well-formed request after the other, in time and in bounds.

`door.py` counts connections before TLS is agreed, `head.py` judges the bytes before a body, `chunked.py` a body that
comes in chunks, `protocol.py` holds both and the times on a connection of uvicorn's; `answering.py` writes an answer;
`room.py` says who gives way where there are too many, `sparingly.py` how often the log tells of it, `limits.py` has the
bounds, `faults.py` the words of each refusal.

Source: RFC 9112; `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

from gateway.guard.door import Door, Handshakes
from gateway.guard.faults import Fault
from gateway.guard.head import Head, read_head
from gateway.guard.limits import Limits
from gateway.guard.protocol import Guarded, guarded, sweep
from gateway.guard.room import whose

__all__ = ["Door", "Fault", "Guarded", "Handshakes", "Head", "Limits", "guarded", "read_head", "sweep", "whose"]
