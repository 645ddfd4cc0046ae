"""What clients read about the gateway, generated from the rules: OpenAPI, CapabilityStatement, the Swagger page.

`offer.py` reads the rules once into an `Offer`; every document is made from it. Later issues add the rule set as
readable HTML at `/rules` (`rules_page.py`) and the view of one caller (`offered` of the caller's share).
"""

from gateway.documents.capability import capability_statement
from gateway.documents.offer import Offer, Published, offered
from gateway.documents.openapi import openapi, openapi_text
from gateway.documents.page import HEADERS as PAGE_HEADERS
from gateway.documents.page import Asset, PageError, assets
from gateway.documents.samples import Sample
from gateway.documents.samples import read as read_samples

__all__ = [
    "PAGE_HEADERS",
    "Asset",
    "Offer",
    "PageError",
    "Published",
    "Sample",
    "assets",
    "capability_statement",
    "offered",
    "openapi",
    "openapi_text",
    "read_samples",
]
