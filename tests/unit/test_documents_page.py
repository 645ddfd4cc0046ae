"""The Swagger page's files and what a browser may do with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.documents import page
from gateway.documents.rules_page import STYLE


def test_every_file_that_the_page_loads_is_served() -> None:
    files = page.assets()
    html = files["index.html"].path.read_text("utf-8")
    loaded = set(re.findall(r'(?:src|href)="([^"]+)"', html)) - {page.DOCUMENT}
    assert loaded
    assert loaded <= set(files)
    assert all("//" not in name for name in loaded)


def test_nothing_is_served_that_the_page_does_not_load() -> None:
    html = page.assets()["index.html"].path.read_text("utf-8")
    loaded = set(re.findall(r'(?:src|href)="([^"]+)"', html)) - {page.DOCUMENT}
    assert set(page.assets()) == loaded | {"index.html", Path(STYLE).name}


def test_the_page_has_no_inline_script_or_style() -> None:
    html = page.assets()["index.html"].path.read_text("utf-8")
    assert re.search(r"<script(?![^>]*\bsrc=)", html) is None
    assert "<style" not in html
    assert re.search(r"\son[a-z]+=|\sstyle=", html) is None


def test_the_policy_lets_the_page_load_from_the_gateway_alone() -> None:
    policy = page.HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")


def test_swagger_ui_is_of_a_version_that_reads_openapi_31() -> None:
    bundle = page.assets()["swagger-ui-bundle.js"].path.read_text("utf-8")
    assert re.search(r'PACKAGE_VERSION:"5\.\d+\.\d+"', bundle) is not None


def test_the_initializer_keeps_no_token_and_takes_no_document_from_the_address() -> None:
    script = page.assets()["initializer.js"].path.read_text("utf-8")
    assert "persistAuthorization: false" in script
    assert "queryConfigEnabled: false" in script
    assert f'url: "{page.DOCUMENT}"' in script


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(page.PageError, match=r"swagger-ui-bundle\.js.*install swagger-ui-py"):
        page.collected(tmp_path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PACKAGE", "no_such_package_of_assets")
    with pytest.raises(page.PageError, match="install swagger-ui-py"):
        page.assets.__wrapped__()
