"""Accounts of rule sets: why a decision was made, who can do what, what another rule set changes."""
