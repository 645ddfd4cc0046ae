"""What other readers and converters of HL7 v2 do with messages: run by an interpreter that has them installed.

`python other_converters.py < request.json`, which is a list of messages in Base64 with the seconds that each may be
measured; prints what each did as JSON. It stands alone: nothing of the gateway is imported.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from importlib import metadata
from typing import Any

Work = Callable[[bytes], Any]
_HELD = 0.05
"""Units: seconds of CPU after which one message is not measured again."""


def text(raw: bytes) -> str:
    """A message with segments that end as HL7 has it; what else ends them stops these readers at the header."""
    return raw.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r")


def _python_hl7() -> Work:
    hl7 = importlib.import_module("hl7")
    return lambda raw: hl7.parse(text(raw))


def _hl7apy(*, validated: bool) -> Work:
    parser = importlib.import_module("hl7apy.parser")
    consts = importlib.import_module("hl7apy.consts")
    unsound = importlib.import_module("hl7apy.exceptions").HL7apyException

    def work(raw: bytes) -> Any:
        message = parser.parse_message(
            text(raw), validation_level=consts.VALIDATION_LEVEL.TOLERANT, find_groups=validated
        )
        if validated:
            with suppress(unsound):  # how it says that a message departs
                message.validate()
        return message

    return work


def _brightohir() -> Work:
    brightohir = importlib.import_module("brightohir")
    return lambda raw: json.dumps(brightohir.v2_to_r5(text(raw)), default=str)


def _bridge() -> Work:
    convert = importlib.import_module("v2fhir.convert")
    config = importlib.import_module("v2fhir.config").load_config()
    parse = importlib.import_module("v2fhir.hl7.parser").parse_bytes
    known = (config.default_charset, config.fallback_charsets)
    return lambda raw: json.dumps(convert.convert(parse(raw, *known), config).bundle, default=str)


PEERS: Sequence[tuple[str, str, str, Callable[[], Work]]] = (
    ("python-hl7", "hl7", "read", _python_hl7),
    ("hl7apy", "hl7apy", "read", lambda: _hl7apy(validated=False)),
    ("hl7apy", "hl7apy", "read and validate", lambda: _hl7apy(validated=True)),
    ("brightohir", "brightohir", "read, convert to R5, serialise", _brightohir),
    ("hl7v2-fhir-bridge", "hl7v2-fhir-bridge", "read, convert, serialise", _bridge),
)
"""Name, package, what is measured, and how it is begun."""


def _seconds(work: Work, raw: bytes, rounds: int) -> float | None:
    """The least CPU time that a message took; None where it raised."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        try:
            work(raw)
        except Exception:  # noqa: BLE001 - what it can't do is what is counted
            return None
        best = min(best, time.process_time() - began)
        if best > _HELD:
            break
    return best


def _measured(package: str, begin: Callable[[], Work], messages: Sequence[bytes], rounds: int) -> dict[str, Any]:
    """What one did. Shape: `missing` is the reason where it is not installed."""
    try:
        version = metadata.version(package)
        work = begin()
    except (ImportError, metadata.PackageNotFoundError) as fault:
        return {"version": "", "missing": f"{fault}"}
    times = [took for raw in messages if (took := _seconds(work, raw, rounds)) is not None]
    return {"version": version, "done": len(times), "median": statistics.median(times) if times else None}


def main() -> None:
    """Measure what is installed."""
    request = json.load(sys.stdin)
    messages = [base64.b64decode(each) for each in request["messages"]]
    logging.disable(logging.CRITICAL)
    told = []
    for name, package, what, begin in PEERS:
        with redirect_stdout(io.StringIO()):
            told.append({"name": name, "what": what, **_measured(package, begin, messages, request["rounds"])})
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
