"""HL7 v2 to FHIR R4, by maps that an analyst can read: parse, check, compile, convert."""

from gateway.mapping.convert import Conversion, LossReport, Maps
from gateway.mapping.load import LoadedMaps, load
from gateway.mapping.run import Context

__all__ = ["Context", "Conversion", "LoadedMaps", "LossReport", "Maps", "load"]
