"""`gateway rules lsp` as an editor speaks with it: a process, and a client of the protocol over its pipes."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.client import LanguageClient

WITHIN = 60
"""Units: seconds; a start of the server takes two or three on a busy machine."""


class Editor(LanguageClient):
    """An editor: what it was told is wrong with each file, latest last."""

    def __init__(self) -> None:
        super().__init__("a test", "1")
        self.told: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)  # type: ignore[untyped-decorator]  # pygls has no types here
        def tell(params: types.PublishDiagnosticsParams) -> None:
            self.told.put_nowait(params)

    async def wrong(self, uri: str) -> tuple[types.Diagnostic, ...]:
        """What the server says next of a file."""
        while True:
            told = await asyncio.wait_for(self.told.get(), WITHIN)
            if told.uri == uri:
                return tuple(told.diagnostics)


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    return Path(shutil.copytree(repository / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("examples")))


def spoken(talk: Callable[[Editor], Awaitable[None]], repository: Path) -> Editor:
    """One editor's session, from the start of the server to its end."""

    async def session() -> Editor:
        editor = Editor()
        command = (sys.executable, "-m", "gateway", "rules", "lsp")
        await editor.start_io(*command, cwd=repository)
        try:
            started = await editor.initialize_async(types.InitializeParams(types.ClientCapabilities()))
            assert started.server_info is not None
            assert started.server_info.name == "gateway rules"
            editor.initialized(types.InitializedParams())
            await asyncio.wait_for(talk(editor), WITHIN)
            await editor.shutdown_async(None)
            editor.exit(None)
            await asyncio.wait_for(editor._server.wait(), WITHIN) if editor._server else None
        finally:
            if editor._server is not None and editor._server.returncode is None:
                editor._server.kill()
            await editor.stop()  # type: ignore[no-untyped-call]  # pygls leaves this one method untyped
        return editor

    return asyncio.run(session())


class Desk:
    """The file that is edited, with places in it."""

    def __init__(self, folder: Path) -> None:
        self.registry = folder / "registry.rules"
        self.uri = (folder / "emergency-care.rules").as_uri()
        self.text = (folder / "emergency-care.rules").read_text("utf-8")
        self.document = types.TextDocumentIdentifier(self.uri)

    def where(self, words: str, inside: int) -> types.Position:
        start = self.text.index(words) + inside
        return types.Position(self.text.count("\n", 0, start), start - self.text.rfind("\n", 0, start) - 1)

    def opened(self, whole: str) -> types.DidOpenTextDocumentParams:
        return types.DidOpenTextDocumentParams(types.TextDocumentItem(self.uri, "gateway-rules", 1, whole))

    def changed(self, version: int, whole: str) -> types.DidChangeTextDocumentParams:
        return types.DidChangeTextDocumentParams(
            types.VersionedTextDocumentIdentifier(version, self.uri),
            [types.TextDocumentContentChangeWholeDocument(whole)],
        )


def errors(told: tuple[types.Diagnostic, ...]) -> list[types.Diagnostic]:
    return [d for d in told if d.severity == types.DiagnosticSeverity.Error]


def test_an_editor_is_served(folder: Path, repository: Path) -> None:
    desk = Desk(folder)

    async def talk(editor: Editor) -> None:
        await mistakes(editor, desk)
        await questions(editor, desk)
        await changes(editor, desk)

    editor = spoken(talk, repository)
    assert editor._server is not None
    assert editor._server.returncode == 0


async def mistakes(editor: Editor, desk: Desk) -> None:
    misspelt = desk.text.replace("message.type in admissions", "message.type in admisions")
    assert misspelt != desk.text
    editor.text_document_did_open(desk.opened(misspelt))
    (wrong,) = errors(await editor.wrong(desk.uri))
    assert wrong.message.endswith("help: did you mean `admissions`?")
    assert wrong.code is not None
    assert wrong.range.start == desk.where("message.type in admissions", len("message.type in "))
    assert wrong.range.end.character - wrong.range.start.character == len("admisions")

    # what is typed on while the server waits is checked once, as it is in the end
    editor.text_document_did_change(desk.changed(2, "language 1\nnothing"))
    editor.text_document_did_change(desk.changed(3, desk.text))
    assert errors(await editor.wrong(desk.uri)) == []


async def questions(editor: Editor, desk: Desk) -> None:
    told = await editor.text_document_hover_async(types.HoverParams(desk.document, desk.where("PV1-45", 2)))
    assert told is not None
    assert isinstance(told.contents, types.MarkupContent)
    assert "Discharge Date" in told.contents.value

    agreement = desk.where("because DSA-2026-014", len("because DSA"))
    offered = await editor.text_document_completion_async(types.CompletionParams(desk.document, agreement))
    assert isinstance(offered, list | tuple)
    assert "DSA-2026-014" in {item.label for item in offered}

    declared = await editor.text_document_definition_async(types.DefinitionParams(desk.document, agreement))
    assert isinstance(declared, types.Location)
    assert declared.uri == desk.registry.as_uri()
    line = desk.registry.read_text("utf-8").splitlines()[declared.range.start.line]
    assert line.startswith("agreement DSA-2026-014")

    context = types.ReferenceContext(include_declaration=True)
    places = await editor.text_document_references_async(types.ReferenceParams(context, desk.document, agreement))
    assert places is not None
    assert {desk.uri, desk.registry.as_uri()} <= {place.uri for place in places}


async def changes(editor: Editor, desk: Desk) -> None:
    target = desk.where("and to bed-board", len("and to bed"))
    span = await editor.text_document_prepare_rename_async(types.PrepareRenameParams(desk.document, target))
    assert isinstance(span, types.Range)
    assert span.end.character - span.start.character == len("bed-board")
    edit = await editor.text_document_rename_async(types.RenameParams(desk.document, target, "flow-board"))
    assert edit is not None
    assert edit.changes is not None
    assert {desk.uri, desk.registry.as_uri()} <= edit.changes.keys()
    assert {one.new_text for edits in edit.changes.values() for one in edits} == {"flow-board"}
    with pytest.raises(JsonRpcInvalidParams, match="there is a target `record` already"):
        await editor.text_document_rename_async(types.RenameParams(desk.document, target, "record"))

    editor.text_document_did_change(desk.changed(4, desk.text + '\nset   more =\n "x"  # kept\n'))
    options = types.FormattingOptions(tab_size=2, insert_spaces=True)
    edits = await editor.text_document_formatting_async(types.DocumentFormattingParams(desk.document, options))
    assert edits is not None
    (laid,) = edits
    assert laid.new_text == desk.text + '\nset more = "x"  # kept\n'
    told = await editor.wrong(desk.uri)
    assert any("more" in d.message for d in told if d not in errors(told)), "what lint finds is told too"
