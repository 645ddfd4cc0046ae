"""What the store answers instead of doing what was asked."""

from __future__ import annotations

from gateway.finding import Finding


class Refusal(Exception):  # noqa: N818 - the answer to a request, not a fault of the program
    """A request that is not carried out. Shape: `status` is HTTP's, `findings` become the OperationOutcome."""

    def __init__(self, status: int, code: str, words: str, expression: str | None = None) -> None:
        """Say why; `code` is FHIR's issue type."""
        super().__init__(words)
        self.status = status
        self.findings: tuple[Finding, ...] = (Finding("error", code, words, expression, f"STORE-{status}"),)

    @classmethod
    def of(cls, status: int, findings: tuple[Finding, ...]) -> Refusal:
        """A refusal for reasons that others found."""
        refusal = cls(status, findings[0].code, findings[0].diagnostics)
        refusal.findings = findings
        return refusal
