"""Accounts and tables as HTML pages of their own: no script, nothing loaded, each rule a link to where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from gateway.rules.account import show, told
from gateway.rules.account.data import did
from gateway.rules.account.explain import Account
from gateway.rules.account.judge import Judged
from gateway.rules.account.release import Released
from gateway.rules.account.told import Line

RULES = "/rules"
"""Where a gateway publishes its rules as a page, each rule under its id."""

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f23; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { background: #f6f8fa; padding: 1rem; overflow-x: auto; line-height: 1.35; }
.head { font-weight: bold; } .good { color: #116329; } .bad { color: #a40e26; } .dim { color: #57606a; }
table { border-collapse: collapse; font-size: .85rem; } th, td { border: 1px solid #d0d7de; padding: .3rem .5rem;
text-align: left; vertical-align: top; } th { background: #f6f8fa; position: sticky; top: 0; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } pre, th { background: #161b22; }
.good { color: #3fb950; } .bad { color: #ff7b72; } .dim { color: #8b949e; } a { color: #58a6ff; } }
"""


def page(name: str, body: Iterable[str]) -> str:
    """A page. Shape: `body` is HTML with headings of its own, the name is text."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}</title><style>{_STYLE}</style></head><body>"
    )
    return "\n".join((head, *body, "</body></html>\n"))


def link(rule: str, rules: str = RULES) -> str:
    """A rule's id as a link to where it is published."""
    return f'<a href="{escape(rules)}#{escape(rule)}">{escape(rule)}</a>'


# --- accounts ------------------------------------------------------------------------------------------------------


def title(found: Account) -> str:
    """What an account is of, in a line."""
    facts = found.facts
    return f"{found.effect}: {facts.caller.name}, {facts.action} {facts.type or ''}"


def faults(said: Iterable[str]) -> list[str]:
    """What was wrong with what was sent, for the body of a page."""
    return [f'<p class="bad">{escape(words)}</p>' for words in said]


def account(found: Account, released: Iterable[Released] = (), rules: str = RULES) -> list[str]:
    """An account, for the body of a page.

    Shape: it holds what was sent, so it is for whoever asked; `released` are resources that came back; `rules` is the
    address of the rules' page.
    """
    body = [_block(told.head(found))]
    wanted = () if found.nearest is None else (found.nearest.judged.rule.id,)
    for word, named in (("Decided by", found.by), ("For want of", wanted)):
        if named:
            body.append(f"<p>{word} {', '.join(link(rule, rules) for rule in named)}</p>")
    for judged in found.deciding():
        body += _rule(judged, told.source(judged), rules)
    if found.nearest is not None:
        body.append("<h2>The nearest permit, and what kept it from granting</h2>")
        body.append(_block(told.nearest(found.nearest)))
    others = [judged for judged in found.others() if found.nearest is None or judged is not found.nearest.judged]
    if others:
        body.append("<h2>The other rules that apply</h2><ul>")
        body += [f"<li>{link(j.rule.id, rules)} {escape(did(j))}: {escape(j.rule.title)}</li>" for j in others]
        body.append("</ul>")
    for one in released:
        words = "Released by" if one.released else "Kept back by"
        by = f"<p>{words} {', '.join(link(rule, rules) for rule in one.by)}</p>" if one.by else ""
        body += [f"<h2>{escape(one.name)}</h2>", by, _block(told.release(one))]
    return body


def _rule(judged: Judged, lines: Iterable[Line], rules: str) -> list[str]:
    head, *rest = lines
    del head
    return [
        f"<h2>{link(judged.rule.id, rules)} {escape(did(judged))}: {escape(judged.rule.title)}</h2>",
        _block(rest),
    ]


def _block(lines: Iterable[Line]) -> str:
    return f"<pre>{chr(10).join(map(_line, lines))}</pre>"


def _line(line: Line) -> str:
    text = escape(line.text)
    return f'<span class="{line.style}">{text}</span>' if line.style else text


# --- the table -----------------------------------------------------------------------------------------------------


def table(rows: Sequence[show.Row], rules: str = RULES) -> str:
    """Who can send or see what, as a page."""
    heading = "Who can send or see what"
    heads = "".join(f"<th>{escape(column)}</th>" for column in show.HEADINGS)
    body = [f"<table><thead><tr>{heads}</tr></thead><tbody>"]
    for row in rows:
        cells = [
            link(cell, rules) if column == "by rule" else escape(cell)
            for column, cell in zip(show.HEADINGS, show.cells(row), strict=True)
        ]
        body.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return page(heading, [f"<h1>{heading}</h1>", *body, "</tbody></table>"])
