"""What clients read about the gateway, generated from the rules: OpenAPI, CapabilityStatement, the pages.

`offering.py` reads the rules into an `Offer`, all of it or the share of one caller (`share.py`); the documents are made
from it. `rules_page.py` shows the rule set itself. `library.py` holds the documents of one rule set.
"""

from gateway.documents.capability import capability_statement
from gateway.documents.library import Library
from gateway.documents.offer import Offer, Published
from gateway.documents.offering import offered
from gateway.documents.openapi import openapi, openapi_text
from gateway.documents.page import HEADERS as PAGE_HEADERS
from gateway.documents.page import Asset, PageError, assets
from gateway.documents.rules_page import HEADERS as RULES_HEADERS
from gateway.documents.rules_page import rules_page
from gateway.documents.samples import Sample
from gateway.documents.samples import read as read_samples
from gateway.documents.share import Viewer

__all__ = [
    "PAGE_HEADERS",
    "RULES_HEADERS",
    "Asset",
    "Library",
    "Offer",
    "PageError",
    "Published",
    "Sample",
    "Viewer",
    "assets",
    "capability_statement",
    "offered",
    "openapi",
    "openapi_text",
    "read_samples",
    "rules_page",
]
