"""The Swagger page in a real browser: sign in, send a message, look at what was stored."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.interop.browser import Seen
from tests.traffic import ENGINE, PARTNER, Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process")]

NHS_NUMBER = "9990000018"


def printed_secret(server: Server, principal: str) -> str:
    """The secret that `serve --demo` printed for people to type."""
    printed = server.data.with_suffix(".log").read_text("utf-8")
    found = re.search(rf"{principal} \(\w+\)\s+secret (\S+)", printed)
    assert found is not None, printed
    return found[1]


def authorise(page: Page, principal: str, secret: str) -> None:
    page.locator(".scheme-container button.authorize").click()
    dialog = page.locator(".dialog-ux .auth-container").filter(has_text="clientCredentials")
    dialog.locator("input#client_id_clientCredentials").fill(principal)
    dialog.locator("input#client_secret_clientCredentials").fill(secret)
    dialog.locator("button", has_text="Authorize").click()
    expect(dialog.locator("button", has_text="Logout")).to_be_visible()
    close(page)


def log_out(page: Page) -> None:
    page.locator(".scheme-container button.authorize").click()
    page.locator(".dialog-ux button", has_text="Logout").click()
    close(page)


def close(page: Page) -> None:
    page.locator(".dialog-ux button.close-modal").click()
    expect(page.locator(".dialog-ux")).to_have_count(0)


def operation(page: Page, operation_id: str) -> Locator:
    block = page.locator(f"[id$='-{operation_id}'].opblock")
    block.locator(".opblock-summary-control").click()
    expect(block.locator("button.execute")).to_be_visible()
    return block


def execute(block: Locator) -> tuple[str, str]:
    """Status and body of the answer, as the page shows them."""
    block.locator("button.execute").click()
    live = block.locator(".live-responses-table")
    expect(live).to_be_visible()
    status = live.locator("tbody tr.response td.response-col_status").first.inner_text()
    return status.split()[0], live.locator(".highlight-code code").first.inner_text()


def choose(block: Locator, data_type: str, media_type: str, example: str) -> None:
    """Set the form of `$ingest` to one of the examples that the page offers."""
    block.locator("tr[data-param-name='data-type'] select").select_option(data_type)
    block.locator("select[aria-label='Request content type']").select_option(media_type)
    offered = block.locator(".opblock-section-request-body .examples-select select")
    offered.select_option(example)
    expect(offered).to_have_value(example)


EXAMPLES = [
    ("Fhir", "application/fhir+json", "emergency-care.accepted-bundle-transaction-visit.json"),
    ("Fhir", "application/fhir+json", "emergency-care.accepted-encounter-update.json"),
    ("Csv", "text/csv", "emergency-care.accepted-ed-attendances.csv"),
]


def test_the_page_sends_resources_and_files(demo: Server, seen: Seen, artifacts: Path) -> None:
    page = seen.page
    page.goto(f"{demo.url}/swagger/index.html")
    authorise(page, ENGINE, printed_secret(demo, ENGINE))
    ingest = operation(page, "ingest")
    for data_type, media_type, example in EXAMPLES:
        choose(ingest, data_type, media_type, example)
        status, body = execute(ingest)
        assert status == "200", body
        answer = json.loads(body)
        assert "error" not in [issue["severity"] for issue in answer.get("issue", [])]
        assert answer["resourceType"] == ("Bundle" if "bundle" in example else "OperationOutcome")
        ingest.locator(".live-responses-table").scroll_into_view_if_needed()
        page.screenshot(path=artifacts / f"swagger-{example}.png")
        ingest.locator("button.btn-clear").click()
    assert seen.complaints == []
    assert seen.hosts == {demo.url}


def test_the_page_signs_in_sends_and_searches(demo: Server, seen: Seen, artifacts: Path) -> None:
    page = seen.page
    page.goto(f"{demo.url}/swagger/index.html")
    expect(page.locator(".info .title")).to_contain_text("gateway", ignore_case=True)

    authorise(page, ENGINE, printed_secret(demo, ENGINE))
    ingest = operation(page, "ingest")
    status, body = execute(ingest)
    assert status == "200", body
    assert "MSA|AA|EC-A01-0001|" in body
    ingest.scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "swagger-ingest.png")
    log_out(page)

    authorise(page, PARTNER, printed_secret(demo, PARTNER))
    search = operation(page, "searchPatient")
    search.locator("tr[data-param-name='_id'] input").fill(NHS_NUMBER)
    search.locator("tr[data-param-name='purpose-of-use'] select").select_option("TREAT")
    status, body = execute(search)
    assert status == "200", body
    bundle = json.loads(body)
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [NHS_NUMBER]
    assert bundle["entry"][0]["resource"]["name"][0]["family"] == "Tallis"
    search.locator(".live-responses-table").scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "swagger-search.png")

    assert seen.complaints == []
    assert seen.hosts == {demo.url}


def test_a_wrong_secret_is_told_on_the_page(demo: Server, seen: Seen) -> None:
    page = seen.page
    page.goto(f"{demo.url}/swagger/index.html")
    page.locator(".scheme-container button.authorize").click()
    dialog = page.locator(".dialog-ux .auth-container").filter(has_text="clientCredentials")
    dialog.locator("input#client_id_clientCredentials").fill(ENGINE)
    dialog.locator("input#client_secret_clientCredentials").fill("nobodys")
    dialog.locator("button", has_text="Authorize").click()
    expect(dialog.locator(".errors")).to_contain_text("client authentication failed")
    assert seen.hosts == {demo.url}
