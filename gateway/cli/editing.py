"""`gateway rules lsp`: the language server that editors start."""

from __future__ import annotations

import os
import sys


def serve_editor() -> None:
    """Serve an editor: a language server over standard input and output, for files that end in `.rules`.

    Example: `gateway rules lsp`
    """
    # in place of this process: its libraries would take as long to import for every other command too
    os.execv(sys.executable, (sys.executable, "-m", "gateway.editor"))  # noqa: S606 - our own program  # nosec B606
