"""The embedded FHIR R4 server: `app` makes it, as an ASGI app on one SQLite file."""

from gateway.upstream.store.asgi import StoreApp, app
from gateway.upstream.store.schema import StoreError

__all__ = ["StoreApp", "StoreError", "app"]
