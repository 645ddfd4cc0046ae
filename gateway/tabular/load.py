"""Loads layouts: TOML to frozen dataclasses, with everything that is wrong told by file and line.

What a layout says under `resources`, how its rows become resources, is read by `gateway/mapping/rows`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import re2

from gateway.source import Diagnostic, Message, Source, Span, in_order, nearest
from gateway.tabular import messages
from gateway.tabular.layout import KINDS, Column, Kind, Layout, fold
from gateway.tabular.located import Located, read
from gateway.tabular.records import ENCODINGS, Dialect
from gateway.tabular.values import NEEDS, Known, tokens

FOLDER = "csv"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*")
_TOP = ("title", "source", "file", "columns", "resources")
_FILE = ("delimiter", "quote", "encoding", "header", "strangers", "taken", "only", "nothing", "zone")
_TAKEN = ("whole", "row by row")
_STRANGERS = ("refuse", "pass")
_COLUMN_KEYS = ("type", "required", "header", "title", "format", "codes", "true", "false", "pattern", "longest")
_OF_KIND: Mapping[str, tuple[Kind, ...]] = {
    "format": ("date", "instant"),
    "codes": ("code",),
    "true": ("boolean",),
    "false": ("boolean",),
    "pattern": ("text",),
    "longest": ("text",),
}
_USUAL = {"date": ("YYYY-MM-DD",), "instant": ("YYYY-MM-DDThh:mm:ss", "YYYY-MM-DD hh:mm:ss", "YYYY-MM-DD hh:mm")}


@dataclass(frozen=True, slots=True)
class LoadedLayouts:
    """The layouts by name, and what is wrong with any. Shape: one with an error is left out."""

    layouts: Mapping[str, Layout]
    diagnostics: tuple[Diagnostic, ...]


def load(root: Path, codes: Mapping[str, Known]) -> LoadedLayouts:
    """The layouts below `root/csv`; `codes` are the code maps by name.

    Shape: `root` is a folder as `specs/` is. Errors: diagnostics in the order of files and lines.
    """
    sources: list[Source] = []
    wrong: list[Diagnostic] = []
    for path in sorted((root / FOLDER).glob("*.toml")):
        name = str(Path(root.name) / path.relative_to(root))
        try:
            sources.append(Source(name, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            wrong.append(messages.UNREADABLE.at(Span(Source(name, ""), 0, 0)))
    found = load_sources(sources, codes)
    return LoadedLayouts(found.layouts, in_order((*wrong, *found.diagnostics)))


def load_sources(sources: Iterable[Source], codes: Mapping[str, Known]) -> LoadedLayouts:
    """Layouts of files that are in memory; each has the name of its file."""
    layouts: dict[str, Layout] = {}
    wrong: list[Diagnostic] = []
    for source in sources:
        reading = _Reading(codes)
        layout = reading.layout(source)
        wrong.extend(reading.wrong)
        if layout is not None and not reading.wrong:
            layouts[layout.name] = layout
    return LoadedLayouts(layouts, in_order(wrong))


@dataclass(slots=True)
class _Reading:
    """One file while it is read; collects what is wrong."""

    codes: Mapping[str, Known]
    wrong: list[Diagnostic] = field(default_factory=list)

    def say(self, message: Message, span: Span, hint: str | None = None, **filled: object) -> None:
        """Add a diagnostic."""
        self.wrong.append(message.at(span, hint, **filled))

    def layout(self, source: Source) -> Layout | None:
        """The layout of a file."""
        name = Path(source.name).stem
        if _NAME.fullmatch(name) is None:
            self.say(messages.BAD_NAME, Span(source, 0, 0), word=name)
        located = read(source)
        if isinstance(located, Diagnostic):
            self.wrong.append(located)
            return None
        self.known(located, (), located.data, _TOP)
        for key in ("title", "columns"):
            if key not in located.data:
                self.say(messages.MISSING_KEY, located.key(), f"add `{_ADD[key]}`", word=key)
        file = self.table(located, "file")
        self.known(located, ("file",), file, _FILE)
        header = self.one(located, ("file", "header"), file.get("header", True), bool, "true or false")
        columns = self.columns(located, header=header is not False)
        return Layout(
            name,
            self.text(located, ("title",), ""),
            self.dialect(located, file),
            header is not False,
            columns,
            located,
            self.choice(located, ("file", "strangers"), _STRANGERS) == "pass",
            self.choice(located, ("file", "taken"), _TAKEN) != "row by row",
            self.only(located, file, columns),
            frozenset({"", *self.texts(located, ("file", "nothing"), file.get("nothing", []))}),
            self.text(located, ("file", "zone"), "Europe/London"),
        )

    # --- the file --------------------------------------------------------------------------------------------------

    def dialect(self, located: Located, file: Mapping[str, Any]) -> Dialect:
        """How the file is written."""
        delimiter = self.character(located, "delimiter", file.get("delimiter", ","))
        quote = file.get("quote", '"')
        quote = None if quote == "none" else self.character(located, "quote", quote)
        encoding = self.choice(located, ("file", "encoding"), tuple(ENCODINGS)) or "utf-8"
        if delimiter == quote:
            self.say(messages.BAD_DELIMITER, located.value("file", "delimiter"), value=delimiter, word="delimiter")
        return Dialect(delimiter, quote, encoding)

    def character(self, located: Located, key: str, value: Any) -> str:
        """A delimiter or a quote."""
        fits = isinstance(value, str) and len(value) == 1 and value.isascii() and not value.isalnum()
        if not fits or value in "\r\n\0 ":
            self.say(messages.BAD_DELIMITER, located.value("file", key), value=str(value), word=key)
            return "," if key == "delimiter" else '"'
        return str(value)

    def only(
        self, located: Located, file: Mapping[str, Any], columns: Mapping[str, Column]
    ) -> Mapping[str, frozenset[str]] | None:
        """The rows that are read, by the values of their columns."""
        if "only" not in file:
            return None
        wanted = self.one(located, ("file", "only"), file["only"], dict, "a table of columns with their values") or {}
        found = {}
        for name, values in wanted.items():
            if name not in columns:
                span = located.key("file", "only", name)
                self.say(messages.UNKNOWN_COLUMN, span, _meant(name, columns), word=name)
            found[name] = frozenset(self.texts(located, ("file", "only", name), values))
        return found

    # --- columns ---------------------------------------------------------------------------------------------------

    def columns(self, located: Located, *, header: bool) -> dict[str, Column]:
        """The columns by name, in the author's order."""
        found: dict[str, Column] = {}
        headers: dict[str, str] = {}
        for name, said in self.table(located, "columns").items():
            span = located.key("columns", name)
            if _COLUMN.fullmatch(name) is None:
                self.say(messages.BAD_COLUMN, span, word=name)
            given = self.one(located, ("columns", name), said, dict, 'a table such as { type = "text" }')
            column = self.column(located, name, given or {})
            if not header and "header" in (given or {}):
                self.say(messages.NO_HEADER, located.key("columns", name, "header"), word="header")
            first = headers.setdefault(fold(column.header), name)
            if first != name:
                self.say(messages.HEADER_TWICE, span, word=column.header, place=located.key("columns", first))
            found[name] = column
        return found

    def column(self, located: Located, name: str, said: Mapping[str, Any]) -> Column:
        """One column."""
        path = ("columns", name)
        self.known(located, path, said, _COLUMN_KEYS)
        kind = self.kind(located, path, said)
        for key, kinds in _OF_KIND.items():
            if key in said and kind not in kinds:
                self.say(messages.NOT_OF_TYPE, located.key(*path, key), word=key, type=kind)
        required = self.one(located, (*path, "required"), said.get("required", False), bool, "true or false")
        codes = self.code_map(located, path, said, kind)
        longest = self.one(located, (*path, "longest"), said.get("longest"), int, "a number of characters")
        true = self.texts(located, (*path, "true"), said.get("true", ["true"]))
        false = self.texts(located, (*path, "false"), said.get("false", ["false"]))
        for word in sorted({*true} & {*false}):
            self.say(messages.SAME_WORD, located.key(*path), value=word)
        return Column(
            name,
            self.text(located, (*path, "header"), name),
            kind,
            required is True,
            self.text(located, (*path, "title"), ""),
            self.formats(located, path, said, kind),
            codes,
            self.codes[codes].codes if codes is not None and codes in self.codes else None,
            true,
            false,
            self.pattern(located, path),
            longest,
        )

    def kind(self, located: Located, path: tuple[str, ...], said: Mapping[str, Any]) -> Kind:
        """The type of a column; a text where it says none."""
        value = said.get("type", "text")
        for kind in KINDS:
            if value == kind:
                return kind
        self.say(
            messages.NOT_ONE_OF, located.value(*path, "type"), _meant(str(value), KINDS) or _listed(KINDS),
            value=value, word="type of column",
        )  # fmt: skip
        return "text"

    def formats(self, located: Located, path: tuple[str, ...], said: Mapping[str, Any], kind: Kind) -> tuple[str, ...]:
        """The forms of a date or an instant."""
        if kind not in NEEDS:
            return ()
        forms = self.texts(located, (*path, "format"), said.get("format", list(_USUAL[kind])))
        for form in forms:
            parts = tokens(form)
            if not NEEDS[kind] <= set(parts) or len(set(parts)) < len(parts):
                hint = f"a {kind} needs {', '.join(t for t in ('YYYY', 'MM', 'DD', 'hh', 'mm') if t in NEEDS[kind])}"
                span = located.value(*path, "format")
                self.say(messages.BAD_FORMAT, span, f"{hint}, each once", value=form, type=kind)
        return forms

    def code_map(self, located: Located, path: tuple[str, ...], said: Mapping[str, Any], kind: Kind) -> str | None:
        """The code map of a column of codes."""
        if kind != "code":
            return None
        if "codes" not in said:
            self.say(messages.NEEDS_CODES, located.key(*path), word=path[-1])
            return None
        name = self.text(located, (*path, "codes"), "")
        if name and name not in self.codes:
            hint = _meant(name, self.codes) or f"add specs/codes/{name}.csv"
            self.say(messages.UNKNOWN_CODES, located.value(*path, "codes"), hint, word=name)
        return name

    def pattern(self, located: Located, path: tuple[str, ...]) -> str | None:
        """A regular expression."""
        text = self.text(located, (*path, "pattern"), "") or None
        if text is not None:
            try:
                re2.compile(text, _QUIET)
            except re2.error as fault:
                words = fault.args[0].decode() if isinstance(fault.args[0], bytes) else str(fault)
                self.say(messages.BAD_PATTERN, located.value(*path, "pattern"), value=text, words=words)
                return None
        return text

    # --- values ----------------------------------------------------------------------------------------------------

    def known(self, located: Located, path: tuple[str, ...], table: Mapping[str, Any], keys: Collection[str]) -> None:
        """Say what keys mean nothing."""
        for key in table:
            if key not in keys:
                self.say(messages.UNKNOWN_KEY, located.key(*path, key), _meant(key, keys) or _listed(keys), word=key)

    def table(self, located: Located, key: str) -> Mapping[str, Any]:
        """A table at the top, empty where it is missing."""
        return self.one(located, (key,), located.data.get(key, {}), dict, "a table") or {}

    def one(self, located: Located, path: tuple[str, ...], value: Any, kind: type, wanted: str) -> Any:
        """A value of a type, None where it is missing or of another."""
        if value is None or (isinstance(value, kind) and (kind is not int or not isinstance(value, bool))):
            return value
        self.say(messages.WRONG_KIND, located.value(*path), word=path[-1], wanted=wanted)
        return None

    def text(self, located: Located, path: tuple[str, ...], usual: str) -> str:
        """A text."""
        found: Any = located.data
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        return self.one(located, path, found, str, "a text in quotes") or usual

    def texts(self, located: Located, path: tuple[str, ...], value: Any) -> tuple[str, ...]:
        """A text, or a list of texts."""
        values = value if isinstance(value, list) else [value]
        if all(isinstance(each, str) for each in values):
            return tuple(values)
        self.say(messages.WRONG_KIND, located.value(*path), word=path[-1], wanted="a text, or a list of texts")
        return ()

    def choice(self, located: Located, path: tuple[str, ...], known: tuple[str, ...]) -> str | None:
        """One of a few words, None where nothing is said."""
        word = self.text(located, path, "")
        if not word or word in known:
            return word or None
        hint = _meant(word, known) or _listed(known)
        self.say(messages.NOT_ONE_OF, located.value(*path), hint, value=word, word=path[-1])
        return None


_ADD: Mapping[str, str] = {"title": 'title = "..."', "columns": "[columns]"}


def _quiet() -> Callable[..., Any]:
    options = re2.Options()
    options.log_errors = False
    return options  # type: ignore[no-any-return]  # re2 ships no types


_QUIET = _quiet()


def _meant(word: str, known: Iterable[str]) -> str | None:
    near = nearest(word, known)
    return f"did you mean `{near}`?" if near is not None else None


def _listed(known: Iterable[str]) -> str:
    return "it is one of " + ", ".join(f"`{one}`" for one in known)
