"""The page without a server, in headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.served_folder import served_folder
from web.gather import HERE, gather

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
SLOW_MS = 120_000


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the gathered page on a plain file server."""
    if CHROMIUM is None:
        pytest.skip(f"no browser on this machine; looked for {', '.join(BROWSERS)}")
    if "MDDNET_BROWSER_TESTS" not in os.environ:
        pytest.skip("tests in a browser run where MDDNET_BROWSER_TESTS is set")
    if not (HERE / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("onnxruntime-web is not installed: npm install in web/")
    folder = tmp_path_factory.mktemp("page") / "try"
    gather(folder)
    with served_folder(folder.parent) as server:
        yield f"{server.url}{folder.name}/index.html"


@pytest.fixture(scope="session")
def browser(page_url: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by the package playwright")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened_page(browser: Any, page_url: str, width: int = 1280, height: int = 1000) -> Iterator[Any]:
    """The page, ready for a photo. An error if it asked any other place for anything, or logged an error."""
    context = browser.new_context(accept_downloads=True, viewport={"width": width, "height": height})
    context.set_default_timeout(SLOW_MS)
    local = (page_url.removesuffix("index.html"), "data:", "blob:")
    strangers: list[str] = []
    errors: list[str] = []
    context.on("request", lambda asked: strangers.append(asked.url) if not asked.url.startswith(local) else None)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_url)
    page.get_by_text("Ready.").wait_for()
    yield page
    context.close()
    assert not strangers, strangers
    assert not errors, errors


@pytest.fixture(scope="session")
def page(browser: Any, page_url: str) -> Iterator[Any]:
    """The page, ready for a photo; shared, since loading takes seconds."""
    with opened_page(browser, page_url) as page:
        yield page


@pytest.fixture(scope="session")
def modules(browser: Any, page_url: str) -> Iterator[Any]:
    """An empty page beside the page's modules, without the network."""
    page = browser.new_page()
    page.goto(page_url.replace("index.html", "style.css"))
    yield page
    page.close()


@pytest.fixture(scope="session")
def coffee() -> Path:
    skimage = pytest.importorskip("skimage", reason="the photo comes with scikit-image")
    return Path(skimage.__file__).parent / "data" / "coffee.png"
