"""CSV: bytes to rows by layout. Knows nothing of rules, maps or HTTP."""

from gateway.tabular.layout import Column, Layout, Value, overlap
from gateway.tabular.load import LoadedLayouts, load, load_sources
from gateway.tabular.located import Located
from gateway.tabular.records import Dialect, Record, records
from gateway.tabular.rows import Begun, Reading, Row, begin, place
from gateway.tabular.values import Known

__all__ = [
    "Begun",
    "Column",
    "Dialect",
    "Known",
    "Layout",
    "LoadedLayouts",
    "Located",
    "Reading",
    "Record",
    "Row",
    "Value",
    "begin",
    "load",
    "load_sources",
    "overlap",
    "place",
    "records",
]
