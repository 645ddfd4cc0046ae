"""Installs and starts the Medplum server beside this file.

What npm installs is kept in `GATEWAY_INTEROP_CACHE` (default: the user's cache folder), by the sources' digest.
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

from tests.peers import cache
from tests.traffic import Server, free_port

HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "package.json", HERE / "server.mjs")
INSTALLED_WITHIN = 300.0
READY_WITHIN = 60.0
NPM = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--package-lock=false")


def installed() -> Path:
    """Folder of the server with what it needs; npm fills it where it isn't there yet.

    Errors: RuntimeError with npm's words.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
    folder = cache() / f"medplum-{digest}"
    done = folder / "done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in SOURCES:
        shutil.copy(source, folder)
    npm = subprocess.run(NPM, cwd=folder, capture_output=True, text=True, timeout=INSTALLED_WITHIN, check=False)
    if npm.returncode:
        raise RuntimeError(f"npm ended with {npm.returncode}:\n{(npm.stdout + npm.stderr)[-4000:]}")
    done.touch()
    return folder


def start_medplum(data: Path, versions: str = "counted") -> Server:
    """Start the server on a free port, with its log in a folder, and wait until it answers; `url` is its FHIR base.

    Shape: `versions` are `counted`, or `opaque` as Medplum makes them.
    Errors: RuntimeError with what it printed.
    """
    folder, port = installed(), free_port()
    data.mkdir(parents=True, exist_ok=True)
    log = data / "medplum.log"
    with log.open("wb") as sink:
        command = ["node", str(folder / SOURCES[1].name), str(port)]
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env={**os.environ, "VERSIONS": versions})
    server = Server(process, f"http://127.0.0.1:{port}", data)
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/metadata", trust_env=False, timeout=10).is_success:
                return server
        time.sleep(0.1)
    server.kill()
    raise RuntimeError(f"Medplum did not answer within {READY_WITHIN} s, or ended:\n{log.read_text('utf-8')[-4000:]}")
