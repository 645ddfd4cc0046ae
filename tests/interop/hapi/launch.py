"""Builds and starts the HAPI FHIR server beside this file.

What is built is kept, see `tests/maven.py`.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import httpx

from tests.maven import built, class_path
from tests.traffic import Server, free_port

HERE = Path(__file__).resolve().parent
READY_WITHIN = 600.0
HEAP = "-Xmx1g"


def start_hapi(data: Path) -> Server:
    """Start the server on a free port, with its log in a folder, and wait until it answers; `url` is its FHIR base.

    Errors: RuntimeError with what it printed.
    """
    folder, port = built("hapi", HERE / "pom.xml", [HERE / "HapiForTests.java"]), free_port()
    data.mkdir(parents=True, exist_ok=True)
    log = data / "hapi.log"
    command = [
        "java", HEAP, f"-Dlogback.configurationFile={HERE / 'logback.xml'}", "-cp",
        class_path(folder), "HapiForTests", str(port),
    ]  # fmt: skip
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=data)
    server = Server(process, f"http://127.0.0.1:{port}/fhir", data)
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/metadata", trust_env=False, timeout=30).is_success:
                return server
        time.sleep(0.25)
    server.kill()
    raise RuntimeError(f"HAPI did not answer within {READY_WITHIN} s, or ended:\n{log.read_text('utf-8')[-4000:]}")
