"""The page of the rules in a real browser: what it shows, where its links lead, and that it loads nothing else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.interop.browser import Seen
from tests.traffic import Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process")]


def test_a_rule_is_found_by_its_id(demo: Server, seen: Seen, artifacts: Path) -> None:
    page = seen.page
    page.goto(f"{demo.url}/rules#EC-C1")
    rule = page.locator("article#EC-C1")
    expect(rule).to_be_in_viewport()
    expect(rule).to_contain_text("NHS numbers pass their check digit")
    expect(rule).to_contain_text("id.1 is a valid NHS number")
    expect(rule.locator("pre")).to_contain_text("for each id in PID-3")
    expect(rule).to_contain_text("an A01 with a bad NHS number is refused")
    page.screenshot(path=artifacts / "rules-check.png")
    page.locator("article#SR-P1 h4 a").click()
    expect(page.locator("article#SR-P1")).to_contain_text(
        "DSA-2026-021 GP viewing, from 1 April 2026 until 31 March 2036"
    )
    page.locator("nav a", has_text="Emergency care").click()
    expect(page.locator("#domain-emergency-care h2")).to_be_in_viewport()
    # the style has come: a rule has a border of its own
    assert rule.evaluate("rule => getComputedStyle(rule).borderLeftWidth") == "4px"
    page.screenshot(path=artifacts / "rules.png", full_page=True)
    assert seen.complaints == []
    assert seen.hosts == {demo.url}


def test_nothing_on_it_runs(demo: Server) -> None:
    answer = httpx.get(f"{demo.url}/rules", trust_env=False)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "script" not in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "<style" not in answer.text
    assert "onclick" not in answer.text
