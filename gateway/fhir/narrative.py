"""What a narrative may hold: formatted text, and nothing that acts in the browser that shows it.

Source: https://hl7.org/fhir/R4/narrative.html#Narrative, txt-1; the elements of HTML 4.0, chapters 7 to 11 and 15.
"""

from __future__ import annotations

import html
import re
from xml.parsers import expat

_STRUCTURE = "div span h1 h2 h3 h4 h5 h6 address bdo p br pre hr"
_WORDS = "em strong dfn code samp kbd var cite abbr acronym blockquote q sub sup tt i b big small strike s u font"
_LISTS = "ul ol li dl dt dd"
_TABLES = "table caption thead tfoot tbody colgroup col tr th td"
_LINKS = "a img map area"
_TAKEN = frozenset(f"{_STRUCTURE} {_WORDS} {_LISTS} {_TABLES} {_LINKS}".split())
_DECLARED = re.compile(r"<(?:!(?!--)|\?)")
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|apos);)[A-Za-z][A-Za-z0-9]*;")
_BLANK = re.compile(r"[\x00-\x20]")
_ACTS = ("javascript:", "vbscript:", "data:text/html")


_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_PICTURE = re.compile(r"<img[\s/>]")


def tells(div: str) -> bool:
    """Whether a narrative shows anything: a text or a picture. Source: txt-2 of Narrative."""
    return bool(html.unescape(_TAG.sub("", div)).strip()) or _PICTURE.search(div) is not None


def forbidden(div: str) -> str | None:
    """The first thing in a narrative that is no formatted text, as words; None where there is none.

    Shape: a declaration is refused before the parser reads, so there is no entity that it could expand.
    """
    if _DECLARED.search(div):
        return "a declaration"
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name not in _TAKEN:
            found.append(f"the element {name[:20]}")
        for attribute, value in attributes.items():
            if attribute.lower().startswith("on"):
                found.append(f"the attribute {attribute[:20]}")
            if _BLANK.sub("", value).lower().startswith(_ACTS):
                found.append(f"a script in the attribute {attribute[:20]}")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        text = _ENTITY.sub(_of_html, div).encode(errors="surrogatepass")
        parser.Parse(text, True)  # noqa: FBT003 - its parameter has no name
    except expat.ExpatError as fault:
        found.append(f"no well-formed XHTML, at its line {fault.lineno}, column {fault.offset + 1}")
    return found[0] if found else None


def _of_html(entity: re.Match[str]) -> str:
    """The character that HTML names so, which XML doesn't know; never one that XML would read as markup."""
    character = html.unescape(entity[0])
    return " " if character == entity[0] or character in "<>&\"'" else character
