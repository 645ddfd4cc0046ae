"""What stands between a connection and the application: one well-formed request after the other, in time and in bounds.

`head.py` judges the bytes before a body, `chunked.py` a body that comes in chunks, `protocol.py` holds both and the
times on a connection of uvicorn's. Source: RFC 9112; `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

from gateway.guard.faults import Fault
from gateway.guard.head import Head, read_head
from gateway.guard.limits import Limits
from gateway.guard.protocol import Guarded, guarded, sweep

__all__ = ["Fault", "Guarded", "Head", "Limits", "guarded", "read_head", "sweep"]
