"""Rule files that no author writes: refused on their line, soon, and in little memory."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from gateway.language import limits, patterns
from gateway.rules import load, load_sources
from gateway.source import Source
from tests.conformance.rules.support import DOMAIN, INGEST, REGISTRY, vocabulary

LONGEST = 2.0
MOST = 500 * 1024  # kilobytes
HEAD = DOMAIN + INGEST
LINE = HEAD.count("\n") + 5  # of the condition below


def asked(condition: str) -> str:
    return f'{HEAD}\nforbid F "x"\n  to ingest\n  on Hl7v2\n  when {condition}\n'


HOSTILE = {
    "10,000 parentheses": (asked("(" * 10_000 + "PID-8 is absent" + ")" * 10_000), "R102", LINE),
    "parentheses that never close": (asked("(" * 49_000), "R002", LINE),
    "10,000 times not": (asked("not " * 10_000 + "PID-8 is absent"), "R102", LINE),
    "1,500 loops in each other": (asked("any x in PID-3 satisfies " * 1_500 + "PID-8 is absent"), "R102", LINE),
    "a condition of 100,000 lines": (asked("\n or ".join(["PID-8 is absent"] * 100_000)), "R104", 50_001),
    "a long condition": (asked("\n or ".join(["PID-8 is absent"] * 10_000)), "R100", None),
    "100,000 lines": (HEAD + '\nrole a "b"' * 100_000, "R104", 50_001),
    "a set of a million": (HEAD + "\nset s = " + ", ".join(f'"{i}"' for i in range(1_000_000)), "R100", None),
    "a text without end": (HEAD + '\nset s = "' + "x" * 3_000_000, "R100", None),
    "a word without end": (asked("a" * 40_000), "R101", LINE),
    "NUL bytes": (asked('PID-8 is "\0"'), "R103", LINE),
    "40,000 NUL bytes": (HEAD + "\n\0" * 40_000, "R103", HEAD.count("\n") + 2),
    "a comment from right to left": (asked("PID-8 is absent # \u202e tneserp si"), "R103", LINE),
    "an isolate": (asked('PID-8 is "\u2066a\u2069"'), "R103", LINE),
    "a letter without width": (asked("PID\u200b-8 is absent"), "R103", LINE),
    "a line end that is none": (asked("PID-8 is absent # \u2028 or PID-8 is present"), "R103", LINE),
    "a regular expression that multiplies": (
        asked('PID-8.1 is present and PID-8.1 matches "((((a{1000}){1000}){1000}){1000})"'),
        "R110",
        LINE,
    ),
    "a regular expression that looks back": (
        asked(r'PID-8.1 is present and PID-8.1 matches "(a+)\\1+"'),
        "R110",
        LINE,
    ),
    "40,000 broken statements": (HEAD + "\nxx" * 40_000, "R105", None),
    "blanks": (asked(" " * 48_000 + "("), "R002", LINE),
    "names that stand for each other twice": (
        HEAD + "".join(f"\ncondition c{i}\n  means c{i + 1} and not c{i + 1}" for i in range(40)) + "\ncondition c40\n"
        '  means environment is "x"',
        "R107",
        None,
    ),
    "names that stand for each other for ever": (
        HEAD + "".join(f"\ncondition c{i}\n  means c{i + 1}" for i in range(2_000)) + "\ncondition c2000\n"
        '  means environment is "x"',
        "R102",
        None,
    ),
}


def judged(text: str) -> tuple[float, int, list[tuple[str, int, str]]]:
    """Seconds, kilobytes of the process so far, and what was said, by code and line."""
    vocabulary()
    start = time.process_time()
    found = load_sources([Source("registry.rules", REGISTRY), Source("here.rules", text)], vocabulary())
    taken = time.process_time() - start
    assert found.rules is None
    return taken, _largest(), [(d.code, d.span.line, d.severity) for d in found.diagnostics]


def _largest() -> int:
    """Kilobytes of this process at most; `ru_maxrss` begins with what its parent had before it became this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))


@pytest.fixture(scope="module")
def child() -> Iterator[ProcessPoolExecutor]:
    """A process of its own, so that its memory is what these files took; warm, as a gateway that reloads is."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(judged, asked("PID-8 is unknown")).result()
        yield pool


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_on_its_line(name: str, child: ProcessPoolExecutor) -> None:
    text, code, line = HOSTILE[name]
    taken, largest, said = child.submit(judged, text).result(timeout=60)
    assert (code, line) in [(found, at if line is not None else None) for found, at, _ in said]
    assert taken < LONGEST
    assert largest < MOST


def test_a_regular_expression_takes_no_time() -> None:
    start = time.process_time()
    assert not patterns.matches("x" * 100_000, patterns.compiled("(x+x+)+y"))
    assert time.process_time() - start < 1


def test_a_file_of_many_bytes_is_not_read(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    text = f"{HEAD}#" + "x" * 99 + ("\n#" + "x" * 98) * 60_000
    (rules / "a.rules").write_text(text, encoding="utf-8")
    found = load(rules, vocabulary())
    assert found.rules is None
    assert [d.code for d in found.diagnostics if d.severity == "error"] == ["R106"]
    (said,) = (d for d in found.diagnostics if d.code == "R106")
    assert (said.span.source.name, said.span.line) == ("rules/a.rules", text.count("\n", 0, limits.LARGEST_FILE) + 1)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_of_other_systems_are_read(ends: str, mark: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    text = (mark + REGISTRY + HEAD.removeprefix("language 1\n")).replace("\n", ends)
    (rules / "a.rules").write_bytes(text.encode())
    assert load(rules, vocabulary()).rules is not None
