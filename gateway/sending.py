"""What `gateway send --type Csv` does: a file goes out with a bar, and its receipt is followed to its end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.client import GatewayClient, Sent

PAUSE = 0.5
DEFERRED = 202
HAND = "received"
SHOWN = 20


def send_csv(
    client: GatewayClient, file: Path, console: Console, *, domain: str, organisation: str, key: str | None,
    dry_run: bool,
) -> tuple[Sent, str, bool]:  # fmt: skip
    """Send one file.

    Shape: the answer, the words for the end of it, and whether it was taken; a file that is taken up behind its answer
    is followed until its rows are stored or refused.
    Errors: TokenRefused, OSError, Unreachable.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=console,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(f"sending {file.name}", total=file.stat().st_size)
        reply = client.send_file(
            file, domain=domain, organisation=organisation, went=lambda size: bar.advance(task, size), key=key,
            dry_run=dry_run,
        )  # fmt: skip
    if reply.status != DEFERRED or reply.receipt is None:
        return reply, reply.text, reply.accepted
    state = follow(client, reply.receipt, console)
    return reply, told(state), state.get("state") == "accepted"


def follow(client: GatewayClient, address: str, console: Console) -> dict[str, Any]:
    """Ask a receipt until its file is done, with a bar of its rows; the receipt at the end.

    Errors: TokenRefused, Unreachable.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("judging rows", total=None)
        while True:
            answer = client.receipt(address)
            state: dict[str, Any] = answer.resource if answer.status == 200 else {"state": "unknown"}  # noqa: PLR2004 - HTTP's OK
            rows = state.get("rows", {})
            delivering = state.get("phase") in {"delivering", "done"}
            bar.update(
                task,
                description="delivering rows" if delivering else "judging rows",
                total=rows.get("read") if delivering else None,
                completed=rows.get("stored", 0) + rows.get("refused", 0) if delivering else 0,
            )
            if state.get("state") != HAND:
                return state
            time.sleep(PAUSE)


def told(state: dict[str, Any]) -> str:
    """A receipt for people: the state, the counts, and the first issues."""
    rows = state.get("rows", {})
    counts = ", ".join(f"{name} {rows[name]}" for name in ("read", "stored", "refused") if name in rows)
    issues = state.get("issues", [])
    lines = [f"{state.get('state')}: rows {counts or 'not counted'}; receipt {state.get('receipt')}"]
    lines += [
        f"  {issue['severity']}[{issue['rule'] or issue['code']}] {issue['place'] or ''}: {issue['diagnostics']}"
        for issue in issues[:SHOWN]
    ]
    more = len(issues) - SHOWN + int(state.get("moreIssues", 0))
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 and len(issues) >= SHOWN else [])])
