"""How long a decision takes to explain: `python -m tests.bench.explain`.

The shipped rules, on a message that is refused, one that is denied, and a search that is granted; medians of 500.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from gateway.rules.account import data, told
from gateway.rules.account.explain import Explainer
from tests.conformance.rules.support import message, question, shipped, submission

TIMES = 500


def median(run: Callable[[], object]) -> float:
    """Median duration of one run. Units: microseconds."""
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        run()
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)


def main() -> None:
    """Print a line for each question."""
    rules = shipped()
    explainer = Explainer(rules)
    bad = message("PID|1||9990000019^^^NHS^NH~123^^^R0D^MR", "PV1|1|I")
    questions = {
        "refused message": submission(rules, bad, "demo-engine", domain="emergency-care"),
        "denied message": submission(rules, None, "demo-engine", domain="emergency-care", organisation="RDZ"),
        "granted search": question(rules, "Patient", ("_id", "1"), caller="dorset-gp"),
    }
    for name, facts in questions.items():
        account = explainer.explain(facts)
        explained = median(lambda facts=facts: explainer.explain(facts))  # type: ignore[misc] # bound now
        written = median(lambda account=account: told.told(account))  # type: ignore[misc]
        as_data = median(lambda account=account: data.account(account, rules.registry))  # type: ignore[misc]
        sys.stdout.write(f"{name}: explained in {explained:.0f} us, text {written:.0f} us, data {as_data:.0f} us\n")


if __name__ == "__main__":
    main()
