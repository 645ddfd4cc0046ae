"""Results of tests as JUnit XML, which every CI reads.

Source: the schema of Jenkins' xUnit plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as ET  # nosec B405

from gateway.rules.trial.suite import Result

_UNSHOWN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML can't hold at all. Source: https://www.w3.org/TR/xml/#charsets"""


def written(results: Sequence[Result]) -> bytes:
    """One suite for each rule file. Units: times in seconds."""
    root = ET.Element("testsuites", _counts(results))
    for name, group in groupby(results, key=lambda result: result.trial.span.source.name):
        own = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": name, **_counts(own)})
        for result in own:
            attributes = {
                "classname": name, "name": _text(result.trial.title), "file": name,
                "line": str(result.trial.span.line), "time": f"{result.seconds:.6f}",
            }  # fmt: skip
            case = ET.SubElement(suite, "testcase", attributes)
            for words in result.failures:
                first = next((line for line in words.split("\n") if "expected:" in line), words.split("\n", 1)[0])
                ET.SubElement(case, "failure", {"message": _text(first.strip(" ="))}).text = _text(words)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return text.encode() + b"\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(bool(result.failures) for result in results)),
        "errors": "0",
        "time": f"{sum(result.seconds for result in results):.6f}",
    }


def _text(words: str) -> str:
    return _UNSHOWN.sub("�", words)
