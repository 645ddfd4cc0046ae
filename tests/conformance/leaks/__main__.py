"""`python -m tests.conformance.leaks --base URL --token-partner T1 --token-owner T2`: attack a running gateway.

The gateway has to run with the rules of this folder (`README.md`), on a record that holds nothing yet.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.leaks import cases
from tests.conformance.leaks.recording import Logged
from tests.conformance.leaks.running import run
from tests.conformance.leaks.sending import Sender


def main() -> int:
    """Run the suite and print what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.leaks", description=__doc__)
    parser.add_argument("--base", required=True, help="address of the gateway")
    parser.add_argument("--token-partner", required=True, help="access token of principal leak-partner")
    parser.add_argument("--token-owner", required=True, help="access token of principal leak-owner")
    parser.add_argument("--token-breaker", help="access token of principal leak-breaker")
    parser.add_argument("--token-narrow", help="access token of principal leak-partner, with scope system/Encounter.rs")
    parser.add_argument("--recorded", type=Path, help="file of a recorder that stands before the record")
    parser.add_argument("--only", default="", help="words that the names of the cases must hold")
    parser.add_argument(
        "--filled",
        action="store_true",
        help="the owner has stored everything, and the cases that write were not sent yet",
    )
    chosen = parser.parse_args()
    given = {
        "partner": chosen.token_partner, "owner": chosen.token_owner, "breaker": chosen.token_breaker,
        "narrow": chosen.token_narrow,
    }  # fmt: skip
    sender = Sender(chosen.base, {caller: token for caller, token in given.items() if token is not None})
    one = run(sender, cases.suite(), None if chosen.recorded is None else Logged(chosen.recorded))
    if not chosen.filled:
        one.fill()
    wrong = 0
    for fault in one.faults(lambda case: chosen.only in case.name):
        wrong += 1
        sys.stdout.write(f"{fault}\n")
    tally = one.tally
    sys.stdout.write(
        f"{tally.attacks} attacks and {tally.controls} controls in {tally.requests} requests and {tally.twins} twins, "
        f"{tally.calls} calls upstream: {wrong} faults"
        + (f"; {tally.left} cases need a token that was not given" if tally.left else "")
        + "\n"
    )
    sender.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
