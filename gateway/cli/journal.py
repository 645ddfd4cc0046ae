"""`gateway journal`: what came, what became of it, what waits, and what is to be done about it."""

from __future__ import annotations

import typer

from gateway.cli import journal_changing, journal_looking

app = typer.Typer(no_args_is_help=True, help="The journal: every submission, and what became of it.")
app.command("list")(journal_looking.list_submissions)
app.command("show")(journal_looking.show_submission)
app.command("stats")(journal_looking.show_counts)
app.command("export")(journal_looking.export_submissions)
app.command("replay")(journal_changing.replay)
app.command("purge")(journal_changing.purge)
app.command("rekey")(journal_changing.rekey)
app.command("new-key")(journal_changing.add_key)
