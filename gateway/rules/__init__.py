"""The rules language: statements that are read, checked, compiled, and decide."""

from gateway.rules.decide import RuleSet
from gateway.rules.decision import Decision, Release, Routing, View
from gateway.rules.declared import (
    Accept,
    Agreement,
    Check,
    Domain,
    Forbid,
    Mask,
    Organisation,
    Permit,
    PrincipalDeclaration,
    Registry,
    Route,
    Target,
)
from gateway.rules.facts import Caller, Facts
from gateway.rules.ground import Vocabulary
from gateway.rules.load import Loaded, load, load_sources

__all__ = [
    "Accept",
    "Agreement",
    "Caller",
    "Check",
    "Decision",
    "Domain",
    "Facts",
    "Forbid",
    "Loaded",
    "Mask",
    "Organisation",
    "Permit",
    "PrincipalDeclaration",
    "Registry",
    "Release",
    "Route",
    "Routing",
    "RuleSet",
    "Target",
    "View",
    "Vocabulary",
    "load",
    "load_sources",
]
