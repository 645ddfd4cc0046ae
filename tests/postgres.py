"""A throwaway PostgreSQL server on a Unix socket, and databases on it."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg

from tests.peers import NotHere

BINARIES = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
"""The server refuses to run as root; then it runs as this account."""
READY_WITHIN = 60.0
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - a server of a test's own, in memory
"""Where a server is quick whose files needn't outlive the machine."""


def programs() -> Path | None:
    """Folder of the newest server that is installed, or nothing."""
    found = [path.parent for path in BINARIES.glob("*/bin/initdb")]
    if not found and (beside := shutil.which("initdb")) is not None:
        found = [Path(beside).resolve().parent]
    return max(found, key=lambda path: path.parent.name, default=None)


@dataclass
class Postgres:
    """A server in a folder of its own."""

    folder: Path
    programs: Path
    settings: Sequence[str] = ()
    before: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    numbers: Iterator[int] = field(default_factory=count)

    def make(self) -> None:
        """Make its files."""
        self._run("initdb", "--pgdata", str(self.data), "--auth", "trust", "--username", "gateway", "--no-sync",
                  "--encoding", "UTF8", "--no-locale")  # fmt: skip

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start it, and wait until it answers."""
        values = ("listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=60", *self.settings)
        options = [word for value in values for word in ("-c", value)]
        with (self.folder / "log").open("ab") as sink:
            self.process = subprocess.Popen(
                [*self.before, *_as_account(), str(self.programs / "postgres"), "-D", str(self.data), *options],
                stdout=sink, stderr=sink, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + READY_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        asked = [str(self.programs / "pg_isready"), "--quiet", "--host", str(self.folder), "--dbname", "postgres"]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts its clients off, SIGQUIT ends it at once, as a crash would."""
        if self.process is None:
            return
        os.kill(self.pid, how)
        self.process.wait(READY_WITHIN)
        self.process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it and start it again."""
        self.stop(how)
        self.start()

    def database(self) -> str:
        """Address of a new database that holds nothing."""
        name = f"journal{next(self.numbers)}"
        asyncio.run(self._create(name))
        return self.address(name)

    async def _create(self, name: str) -> None:
        connection = await asyncpg.connect(self.address("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()

    def address(self, database: str) -> str:
        """Address of a database."""
        return f"postgresql://gateway@/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_as_account(), str(self.programs / program), *arguments],
            capture_output=True,
            cwd=self.folder,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout.decode()}{done.stderr.decode()}")


def _as_account() -> list[str]:
    return ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []


@contextmanager
def postgres(*settings: str, folder: Path | None = None, before: Sequence[str] = ()) -> Iterator[Postgres]:
    """Make a server, run it, and take it away again.

    Shape: `settings` as `name=value`; `before` is a command that runs it, such as a tracer.

    Errors: RuntimeError where it does not start; NotHere where none is installed.
    """
    found = programs()
    if found is None:
        raise NotHere(f"needs a PostgreSQL server below {BINARIES}")
    place = Path(tempfile.mkdtemp(prefix="gateway-pg-", dir=folder))
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        os.chown(place, account.pw_uid, account.pw_gid)
    server = Postgres(place, found, settings, before)
    try:
        server.make()
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.stop(signal.SIGQUIT)
        shutil.rmtree(place, ignore_errors=True)


def rows(address: str, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What a statement answers, in the gateway's schema."""

    async def asked() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(address, server_settings={"search_path": "gateway"})
        try:
            return [tuple(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    return asyncio.run(asked())
