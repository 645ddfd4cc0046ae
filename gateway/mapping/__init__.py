"""HL7 v2 and rows of CSV files to FHIR R4, by maps that an analyst can read: parse, check, compile, convert."""

from gateway.mapping.codes import CodeMap
from gateway.mapping.convert import Conversion, LossReport, Maps
from gateway.mapping.load import LoadedMaps, load, overlays
from gateway.mapping.run import Context

__all__ = ["CodeMap", "Context", "Conversion", "LoadedMaps", "LossReport", "Maps", "load", "overlays"]
