"""Searches as data, for any FHIR server: resources of our own, what is searched for, and what must be found.

`tests/conformance/search/README.md` tells the notation. The server is whatever an httpx client is given as its base
address: the embedded store in this process, or a real one elsewhere.

`python -m tests.searching http://localhost:8080/fhir` stores them on a server that holds nothing else and prints what
it answers otherwise.

Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

FOLDER = Path(__file__).parent / "conformance" / "search"
JSON = {"content-type": "application/fhir+json"}
MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One search.

    Shape: `clause` is the one of FHIR R4 that it follows, `3.1.1.4.7 search.html#date`; `search` is `Type?parameters`;
    `pages` the ids on each page, one page where they aren't followed; `included` has `Type/id` in any order; `members`
    are those of the first resource; `refused` are words of a refusal. What is None is not looked at.
    """

    name: str
    clause: str
    search: str
    pages: tuple[tuple[str, ...], ...] = ()
    included: frozenset[str] | None = None
    total: int | None = None
    members: frozenset[str] | None = None
    refused: str | None = None

    @property
    def ordered(self) -> bool:
        """Whether the standard settles the order of what is found."""
        return "_sort=" in self.search


def cases() -> list[Case]:
    """Every case, in the order of the files. Its name begins with that of its group."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        for group in tomllib.loads(path.read_text("utf-8"))["group"]:
            found += [_case(group["name"], group["clause"], *row) for row in group["cases"]]
    return found


def _case(group: str, clause: str, name: str, search: str, expected: str | Mapping[str, Any]) -> Case:
    told = {"found": expected} if isinstance(expected, str) else dict(expected)
    pages = told.pop("pages", None) or ([told.pop("found")] if "found" in told else [])
    included, members = told.pop("included", None), told.pop("members", None)
    return Case(
        f"{group}: {name}",
        clause,
        search,
        tuple(tuple(page.split()) for page in pages),
        None if included is None else frozenset(included.split()),
        members=None if members is None else frozenset(members.split()),
        **told,
    )


def resources() -> list[dict[str, Any]]:
    """What the cases search in; each refers to such as came before it."""
    found: list[dict[str, Any]] = json.loads((FOLDER / "resources.json").read_text("utf-8"))
    return found


async def fill(client: httpx.AsyncClient) -> None:
    """Store the resources, one after the other."""
    for resource in resources():
        name = f"{resource['resourceType']}/{resource['id']}"
        answer = await client.put(name, content=json.dumps(resource).encode(), headers=JSON)
        if answer.status_code not in {200, 201}:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.text}")


async def differences(client: httpx.AsyncClient, case: Case, *, strict: bool) -> list[str]:
    """How the answers to a search differ from what must be; none where they don't.

    Shape: with `strict` what is found stands in the order of storing where nothing else is asked for, and refusals have
    their words; what the standard leaves open is left open otherwise.
    """
    answer = await client.get(_address(case.search, str(client.base_url).rstrip("/")))
    if case.refused is not None:
        return _refusal(case.refused, answer, strict=strict)
    if answer.status_code != 200:
        return [f"answered {answer.status_code}: {answer.text[:300]}"]
    bundles = [answer.json()]
    while len(case.pages) > 1 and len(bundles) < MOST_PAGES and (following := _next(bundles[-1])) is not None:
        bundles.append((await client.get(following)).json())
    return list(_compared(case, bundles, strict=strict))


def _compared(case: Case, bundles: Sequence[Mapping[str, Any]], *, strict: bool) -> Sequence[str]:
    told = _not_told(case.search, bundles[0])
    pages = tuple(tuple(each["id"] for each in _resources(bundle, "match")) for bundle in bundles)
    if strict or case.ordered:
        alike = pages == case.pages
    else:
        flat, wanted = ([name for page in some for name in page] for some in (pages, case.pages))
        alike = sorted(flat) == sorted(wanted)
    if not alike:
        told.append(f"found {pages}, not {case.pages}")
    included = [f"{each['resourceType']}/{each['id']}" for each in _resources(bundles[0], "include")]
    wanted_included = case.included if case.included is not None or "_include" in case.search else frozenset()
    if wanted_included is not None and sorted(included) != sorted(wanted_included):
        told.append(f"included {sorted(included)}, not {sorted(wanted_included)}")
    if case.total is not None and bundles[0].get("total") != case.total:
        told.append(f"total {bundles[0].get('total')}, not {case.total}")
    if case.members is not None:
        members = frozenset(_resources(bundles[0], "match")[0])
        if members != case.members:
            told.append(f"members {sorted(members)}, not {sorted(case.members)}")
    return told


def _not_told(search: str, bundle: Mapping[str, Any]) -> list[str]:
    """Parameters that the address of the answer itself must have, and has not.

    Source: https://hl7.org/fhir/R4/search.html#conformance, 3.1.1.6
    """
    own = next((str(link["url"]) for link in bundle.get("link", ()) if link["relation"] == "self"), "")
    used = {name for name, _ in parse_qsl(urlsplit(own).query, keep_blank_values=True)}
    asked = {name for name, _ in parse_qsl(search.partition("?")[2])}
    return [f"the self link leaves {name} out: {own}" for name in sorted(asked - used)]


def _refusal(words: str, answer: httpx.Response, *, strict: bool) -> list[str]:
    if not 400 <= answer.status_code < 500:
        return [f"answered {answer.status_code}, not refused"]
    if not strict:
        return []
    issues = answer.json()["issue"]
    fits = answer.status_code == 400 and any(words in issue["diagnostics"] for issue in issues)
    return [] if fits else [f"refused without `{words}`: {answer.status_code} {answer.text}"]


def _address(search: str, base: str) -> str:
    path, _, text = search.partition("?")
    pairs = [(name, value.replace("{base}", base)) for name, value in parse_qsl(text, keep_blank_values=True)]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _next(bundle: Mapping[str, Any]) -> str | None:
    return next((str(link["url"]) for link in bundle.get("link", ()) if link["relation"] == "next"), None)


def _resources(bundle: Mapping[str, Any], mode: str) -> list[dict[str, Any]]:
    entries = bundle.get("entry", ())
    return [entry["resource"] for entry in entries if entry.get("search", {}).get("mode", "match") == mode]


async def _run(base: str) -> int:
    """Store the resources on a server, ask every case, and print what differs; how many do."""
    count = 0
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
        await fill(client)
        for case in cases():
            if told := await differences(client, case, strict=False):
                count += 1
                print(f"{case.name} ({case.clause})\n  {case.search}\n  {'; '.join(told)}")  # noqa: T201 - what the command is for
    return count


if __name__ == "__main__":
    sys.exit(min(asyncio.run(_run(sys.argv[1])), 1))
