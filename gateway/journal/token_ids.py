"""Ids of tokens that are kept until the tokens end, read back.

Who takes a token back puts its id down with `Journal.claim_token_id`, under a name of its own.
"""

from __future__ import annotations

from gateway.journal.steps import Statement, Steps, Work

_KEPT = "SELECT jti, expires FROM token_id WHERE issuer = ?"


def token_ids(issuer: str) -> Work[dict[str, float]]:
    """The ids that are kept under a name, with when each ends.

    Units: seconds since 1970.
    """

    def read() -> Steps[dict[str, float]]:
        rows = yield Statement(_KEPT, (issuer,))
        return {str(jti): float(expires) for jti, expires in rows}

    return read
