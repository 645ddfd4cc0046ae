"""FHIR servers and other targets: where submissions go and searches are answered. `connect` makes one."""

from gateway.upstream.answer import Answer, NotAsked, TargetDown, Unconnected
from gateway.upstream.connect import AddressError, connect
from gateway.upstream.folder import FolderTarget
from gateway.upstream.hl7v2 import Hl7v2Target
from gateway.upstream.server import FhirServer, Name, Standing

__all__ = [
    "AddressError",
    "Answer",
    "FhirServer",
    "FolderTarget",
    "Hl7v2Target",
    "Name",
    "NotAsked",
    "Standing",
    "TargetDown",
    "Unconnected",
    "connect",
]
