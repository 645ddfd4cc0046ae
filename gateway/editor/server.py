"""`gateway rules lsp`: the language server over standard input and output.

Source: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from gateway.editor import names
from gateway.editor.book import Book, book, folder_of
from gateway.editor.complete import complete
from gateway.editor.diagnose import diagnose, underlined
from gateway.editor.hover import hover
from gateway.editor.places import extent, offset
from gateway.editor.rename import CannotRenameError, rename, renameable
from gateway.language.functions import LONDON
from gateway.rules import layout
from gateway.rules.ground import Vocabulary
from gateway.rules.load import SUFFIX, read_sources
from gateway.source import Diagnostic, Source, Span

PAUSE = 0.25
"""How long nothing is typed before the rules are checked. Units: seconds."""

_ITEMS = {
    "keyword": types.CompletionItemKind.Keyword,
    "path": types.CompletionItemKind.Field,
    "fact": types.CompletionItemKind.Property,
    "variable": types.CompletionItemKind.Variable,
    "code": types.CompletionItemKind.Value,
    "label": types.CompletionItemKind.Text,
    "type": types.CompletionItemKind.Class,
    "rule": types.CompletionItemKind.Reference,
    "set": types.CompletionItemKind.Enum,
    "condition": types.CompletionItemKind.Function,
}
_SEVERITIES = {"error": types.DiagnosticSeverity.Error, "warning": types.DiagnosticSeverity.Warning}


class _Asked(Protocol):
    """What every request about a place has."""

    text_document: types.TextDocumentIdentifier
    position: types.Position


class Server(LanguageServer):
    """The state of one editor: what it has open, and what it was told is wrong."""

    def __init__(self, version: str, vocabulary: Vocabulary) -> None:
        """Serve rule files that are typed against this vocabulary."""
        super().__init__("gateway rules", version)
        self.vocabulary = vocabulary
        self.told: dict[Path, frozenset[Path]] = {}
        self.waiting: dict[Path, asyncio.Task[None]] = {}

    def unsaved(self) -> dict[Path, str]:
        """The texts that are open in the editor, by path."""
        return {_path(uri): document.source for uri, document in self.workspace.text_documents.items()}

    def read(self, path: Path) -> Book:
        """The rule set that a file belongs to, as the editor has it."""
        sources, _ = read_sources(folder_of(path), self.unsaved())
        return book(sources, self.vocabulary)

    def asked(self, at: _Asked) -> tuple[Book, str, int]:
        """The rule set, the file and the character that a request is about.

        Errors: JsonRpcInvalidParams for a file that is no rule file.
        """
        path = _path(at.text_document.uri)
        found, name = self.read(path), _name(path)
        if name not in found.pages:
            raise JsonRpcInvalidParams(f"{path.name} is no rule file")
        return found, name, offset(found.pages[name].source, at.position, self.workspace.position_codec)

    def extent(self, span: Span) -> types.Range:
        """The range of a stretch, in the editor's units."""
        return extent(span, self.workspace.position_codec)

    def changed(self, path: Path) -> None:
        """Check the rule set of a file once nothing was typed for a moment."""
        folder = folder_of(path)
        if path.suffix != SUFFIX and not any(folder.glob(f"*{SUFFIX}")):
            return  # nothing that rules are made of
        waiting = self.waiting.pop(folder, None)
        if waiting is not None:
            waiting.cancel()
        self.waiting[folder] = asyncio.ensure_future(self._soon(folder))

    async def _soon(self, folder: Path) -> None:
        await asyncio.sleep(PAUSE)
        today = datetime.now(LONDON).date()
        try:
            found = await asyncio.to_thread(diagnose, folder, self.unsaved(), self.vocabulary, today)
        except OSError as error:
            # a file that went away meanwhile: the editor says so soon, and the rules are checked again
            words = f"{folder} was not checked: {error}"
            self.window_log_message(types.LogMessageParams(types.MessageType.Warning, words))
            return
        self._publish(folder, found)

    def _publish(self, folder: Path, found: tuple[Diagnostic, ...]) -> None:
        by_file: dict[Path, list[types.Diagnostic]] = {path: [] for path in self.told.get(folder, frozenset())}
        for diagnostic in found:
            by_file.setdefault(folder.parent / diagnostic.span.source.name, []).append(self._shown(diagnostic))
        for path, shown in by_file.items():
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(_uri(path), shown))
        self.told[folder] = frozenset(path for path, shown in by_file.items() if shown)

    def _shown(self, diagnostic: Diagnostic) -> types.Diagnostic:
        hint = "" if diagnostic.help is None else f"\nhelp: {diagnostic.help}"
        return types.Diagnostic(
            self.extent(underlined(diagnostic)),
            diagnostic.message + hint,
            severity=_SEVERITIES[diagnostic.severity],
            code=diagnostic.code,
            source="gateway rules",
        )


def _path(uri: str) -> Path:
    return Path(to_fs_path(uri) or "/").absolute()


def _uri(path: Path) -> str:
    return from_fs_path(str(path)) or ""


def _name(path: Path) -> str:
    """A rule file's name, as its source is called."""
    return path.relative_to(folder_of(path).parent).as_posix()


def _place(server: Server, path: Path, span: Span) -> types.Location:
    """A stretch in a file of the same rule set."""
    return types.Location(_uri(folder_of(path).parent / span.source.name), server.extent(span))


def server(version: str, vocabulary: Vocabulary) -> Server:
    """A language server with all that it answers."""
    made = Server(version, vocabulary)
    for event in (types.TEXT_DOCUMENT_DID_OPEN, types.TEXT_DOCUMENT_DID_CHANGE, types.TEXT_DOCUMENT_DID_SAVE,
                  types.TEXT_DOCUMENT_DID_CLOSE):  # fmt: skip
        made.feature(event)(_document)
    made.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(_files)
    made.feature(types.TEXT_DOCUMENT_HOVER)(_hover)
    made.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "-", '"']))(_complete)
    made.feature(types.TEXT_DOCUMENT_DEFINITION)(_define)
    made.feature(types.TEXT_DOCUMENT_REFERENCES)(_refer)
    made.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))(_rename)
    made.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)(_prepare)
    made.feature(types.TEXT_DOCUMENT_FORMATTING)(_format)
    return made


Documented = (
    types.DidOpenTextDocumentParams
    | types.DidChangeTextDocumentParams
    | types.DidSaveTextDocumentParams
    | types.DidCloseTextDocumentParams
)


def _document(ls: Server, params: Documented) -> None:
    ls.changed(_path(params.text_document.uri))


def _files(ls: Server, params: types.DidChangeWatchedFilesParams) -> None:
    for change in params.changes:
        ls.changed(_path(change.uri))


def _hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
    found = hover(*ls.asked(params))
    if found is None:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, found.text), ls.extent(found.span))


def _complete(ls: Server, params: types.CompletionParams) -> list[types.CompletionItem]:
    return [
        types.CompletionItem(
            item.text,
            kind=_ITEMS.get(item.kind, types.CompletionItemKind.Constant),
            detail=item.detail or None,
            text_edit=types.TextEdit(ls.extent(item.span), item.text),
        )
        for item in complete(*ls.asked(params))
    ]


def _define(ls: Server, params: types.DefinitionParams) -> types.Location | None:
    found = names.definition(*ls.asked(params))
    return None if found is None else _place(ls, _path(params.text_document.uri), found)


def _refer(ls: Server, params: types.ReferenceParams) -> list[types.Location]:
    found = names.name_at(*ls.asked(params))
    path = _path(params.text_document.uri)
    return [] if found is None else [_place(ls, path, span) for span in found.places]


def _prepare(ls: Server, params: types.PrepareRenameParams) -> types.Range | None:
    span = renameable(*ls.asked(params))
    return None if span is None else ls.extent(span)


def _rename(ls: Server, params: types.RenameParams) -> types.WorkspaceEdit:
    try:
        found = rename(*ls.asked(params), params.new_name)
    except CannotRenameError as error:
        raise JsonRpcInvalidParams(str(error)) from error
    path = _path(params.text_document.uri)
    changes: dict[str, list[types.TextEdit]] = {}
    for span in found.places:
        place = _place(ls, path, span)
        changes.setdefault(place.uri, []).append(types.TextEdit(place.range, found.text))
    return types.WorkspaceEdit(changes)


def _format(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
    """The whole file in its layout; a file with errors stays as it is, its errors are told anyway."""
    path = _path(params.text_document.uri)
    found = ls.read(path).pages.get(_name(path))
    if found is None:
        return []
    source: Source = found.source
    laid = layout.lay(source)
    if laid.text is None or laid.text == source.text:
        return []
    return [types.TextEdit(ls.extent(Span(source, 0, len(source.text))), laid.text)]
