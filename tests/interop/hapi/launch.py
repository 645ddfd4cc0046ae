"""Builds and starts the HAPI FHIR server beside this file.

What is built is kept in `GATEWAY_INTEROP_CACHE` (default: the user's cache folder), by the sources' digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx

from tests.traffic import Server, free_port

HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "pom.xml", HERE / "HapiForTests.java")
BUILT_WITHIN = 900.0
READY_WITHIN = 300.0
HEAP = "-Xmx1g"


def cache() -> Path:
    """The folder that keeps what was built."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("GATEWAY_INTEROP_CACHE") or home / "gateway-interop")


def built() -> Path:
    """Folder of the built server; Maven makes it where it isn't there yet.

    Errors: RuntimeError with Maven's words.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
    folder = cache() / f"hapi-{digest}"
    done = folder / "done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    maven = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--file", str(SOURCES[0]), f"-Dbuild.folder={folder}", "compile"],
        capture_output=True, text=True, timeout=BUILT_WITHIN, check=False,
    )  # fmt: skip
    if maven.returncode:
        raise RuntimeError(f"Maven ended with {maven.returncode}:\n{(maven.stdout + maven.stderr)[-4000:]}")
    done.touch()
    return folder


def start_hapi(data: Path) -> Server:
    """Start the server on a free port, with its log in a folder, and wait until it answers; `url` is its FHIR base.

    Errors: RuntimeError with what it printed.
    """
    folder, port = built(), free_port()
    data.mkdir(parents=True, exist_ok=True)
    log = data / "hapi.log"
    command = [
        "java", HEAP, f"-Dlogback.configurationFile={HERE / 'logback.xml'}", "-cp",
        f"{folder / 'classes'}{os.pathsep}{folder / 'jars' / '*'}", "HapiForTests", str(port),
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
