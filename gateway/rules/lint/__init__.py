"""What is wrong with rules that load: unreachable, shadowed, twice, contradictory, unused, untested.

`gateway rules check` and editors ask for it; loading rules doesn't, so that no start waits for it.
"""

from gateway.rules.lint.run import lint

__all__ = ["lint"]
