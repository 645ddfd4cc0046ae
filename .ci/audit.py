"""Ask advisory services for known faults of the locked packages, with `pip-audit --strict`.

Exit status: 0 where every package was asked for and none has a known fault, 1 where some have, 3 where no service could
be asked. That is no result, and is never taken for a good one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")
FAULTS, UNREACHABLE = 1, 3
TIMEOUT = 15
WITHIN = 900


def asked(command: str, service: str, lock: str) -> tuple[list[dict[str, Any]] | None, str]:
    """The packages of a lock with their known faults.

    Shape: None where the service didn't answer for each of them, with what was said instead.
    """
    words = [
        command, "--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json",
        "--timeout", str(TIMEOUT), "--vulnerability-service", service, "--requirement", lock,
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=WITHIN, check=False)  # noqa: S603 - its own
    except subprocess.TimeoutExpired:
        return None, f"no answer within {WITHIN} s"
    said = done.stderr.strip().splitlines()
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return None, said[-1] if said else f"exit status {done.returncode} without a word"
    if not packages or any("vulns" not in package for package in packages):
        return None, "it left packages out"
    return packages, ""


def main() -> int:
    """Audit each lock; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="pip-audit", help="the pip-audit to run")
    parser.add_argument("locks", nargs="+")
    options = parser.parse_args()
    found = set()
    for lock in options.locks:
        why = {}
        for service in SERVICES:
            packages, why[service] = asked(options.command, service, lock)
            if packages is not None:
                found.add(told(lock, service, packages))
                break
        else:
            print(f"{lock}: NOT AUDITED. No advisory service could be asked:")
            for service, words in why.items():
                print(f"  {service}: {words[:300]}")
            print("  Run `make audit` where pypi.org or api.osv.dev can be reached: nothing is known of these packages")
            found.add(UNREACHABLE)
    return FAULTS if FAULTS in found else max(found)


def told(lock: str, service: str, packages: list[dict[str, Any]]) -> int:
    """Say what is known; the exit status."""
    faulty = [package for package in packages if package["vulns"]]
    print(f"{Path(lock).name}: {len(packages)} packages asked for at {service}, {len(faulty)} with known faults")
    for package in faulty:
        for fault in package["vulns"]:
            fixed = ", ".join(fault.get("fix_versions", ())) or "none yet"
            print(f"  {package['name']} {package['version']}: {fault['id']}, mended in {fixed}")
    return FAULTS if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
