"""PATCH by JSON Patch.

Source: https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from gateway import fhir
from gateway.fhir.json_patch import MEDIA_TYPE, PatchError, patched, read_patch
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.requests import checked

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def edit_of(raw: bytes, type_: str) -> Edit:
    """What a patch document makes of the resource that stands.

    Errors: Refusal (400) for a document that can't be read; the edit raises it for one that does not fit (422), or that
    would change the type or the id.
    """
    try:
        operations = read_patch(raw)
    except PatchError as error:
        raise Refusal(400, "structure", str(error), type_) from error

    def edit(resource: dict[str, Any]) -> dict[str, Any]:
        try:
            made = fhir.load(fhir.dump(patched(resource, operations)))  # a resource that could have been sent
        except PatchError as error:
            status, code = (422, "processing") if error.is_conflict else (400, "structure")
            raise Refusal(status, code, str(error), type_) from error
        except (fhir.JsonError, TypeError) as error:
            raise Refusal(422, "processing", "the patch leaves no resource, or one nested too deep", type_) from error
        checked(made, type_, resource["id"])
        return made

    return edit


def binary(resource: dict[str, Any]) -> bytes:
    """The patch document that an entry of a Bundle carries in a Binary.

    Errors: Refusal.
    """
    data = resource.get("data")
    if resource.get("resourceType") != "Binary" or resource.get("contentType") != MEDIA_TYPE or type(data) is not str:
        words = f"an entry that patches has a Binary of contentType {MEDIA_TYPE} with data"
        raise Refusal(400, "invalid", words, "Bundle.entry.resource")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Refusal(400, "value", "data is Base64", "Bundle.entry.resource.data") from error
