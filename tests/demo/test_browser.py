"""The page in a real browser: headless Chromium, driven by Playwright, with the shipped model."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs Gradio (extra demo)")
sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by the package playwright")

from tests.served_demo import Server, served  # noqa: E402

from mddnet.demo.examples import find_examples  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SLOW_MS = 240_000
SCREENSHOTS = os.environ.get("MDDNET_SCREENSHOTS")
"""A folder for screenshots, to look at them."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not find_examples(), reason="the example photos come with scikit-image"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("-m", "mddnet", "demo", "--port", "0", "--threads", "1") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a fresh window; it fails a test that asks any other machine for anything."""
    settings = {"viewport": {"width": 1360, "height": 1000}, **getattr(request, "param", {})}
    context = browser.new_context(accept_downloads=True, **settings)
    context.set_default_timeout(SLOW_MS)
    strangers: list[str] = []
    context.on("request", lambda asked: strangers.append(asked.url) if not local(asked.url, server.url) else None)
    opened = context.new_page()
    opened.goto(server.url)
    opened.locator("#upload").wait_for()
    yield opened
    context.close()
    assert not strangers, strangers


def local(url: str, server_url: str) -> bool:
    return url.startswith((server_url, server_url.replace("http", "ws"), "data:", "blob:"))


def shot(page: Any, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_function("() => !/(processing|queue) [|:]/.test(document.body.innerText)")
        page.wait_for_timeout(800)
        page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)


def show_cat(page: Any) -> None:
    """Give the page a photo as a visitor does, and wait for its maps."""
    page.locator("#upload input[type=file]").first.set_input_files(str(find_examples()["Cat"]))
    page.locator("#picture-defocus img").wait_for()
    page.locator("#law svg circle").first.wait_for()


def settled_text(page: Any, selector: str, wanted: str) -> str:
    page.locator(selector).get_by_text(wanted).first.wait_for()
    return str(page.locator(selector).inner_text())


def move_slider(page: Any, elem_id: str, steps: int = 1) -> None:
    slider = page.locator(f"#{elem_id} input[type=range]")
    slider.focus()
    for _ in range(steps):
        slider.press("ArrowRight")


def test_upload_and_click_a_point(page: Any) -> None:
    show_cat(page)
    assert "451 × 300 px" in page.locator("#facts").inner_text()
    for name in ("photo", "depth", "defocus", "confidence"):
        assert page.locator(f"#picture-{name} img").get_attribute("alt")
    image = page.locator("#picture-depth img")
    box = image.bounding_box()
    image.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    text = settled_text(page, "#point", "circle of confusion")
    assert "column 22" in text and "px" in text and "confidence" in text
    shot(page, "point")


def test_lens_facts_give_metres(page: Any) -> None:
    show_cat(page)
    for field, value in (("focal", "50"), ("f-number", "1.8"), ("pitch", "50"), ("distance", "0.8")):
        page.locator(f"#{field} input").fill(value)
    page.locator("#apply").click()
    assert "Depth is in metres." in settled_text(page, "#facts", "Depth is in metres.")
    assert " m)" in page.locator(".mdd-ends").first.inner_text()
    shot(page, "metres")


def test_slider_mask_and_download(page: Any, tmp_path: Path) -> None:
    show_cat(page)
    move_slider(page, "factor", steps=6)
    page.locator("#picture-shallow img").wait_for()
    shot(page, "shallow")
    page.get_by_role("tab", name="Blur mask").click()
    move_slider(page, "mask")
    page.locator("#picture-masked img").wait_for()
    shot(page, "mask")
    page.get_by_role("tab", name="Download").click()
    page.get_by_label("blur mask (PNG)").check()
    page.locator("#pack").click()
    link = page.locator("#archive a[download]").first
    link.wait_for()
    with page.expect_download() as started:
        link.click()
    target = tmp_path / "got.zip"
    started.value.save_as(target)
    with zipfile.ZipFile(target) as opened:
        assert {"chelsea.inv_depth.tiff", "chelsea.json", "chelsea.blur_mask.png"} <= set(opened.namelist())


def test_points_in_3d(page: Any) -> None:
    show_cat(page)
    page.get_by_role("tab", name="3D").click()
    move_slider(page, "right")
    page.locator("#picture-cloud img").wait_for()
    shot(page, "points")


def test_a_bad_file_is_explained(page: Any, tmp_path: Path) -> None:
    bad = tmp_path / "words.jpg"
    bad.write_text("no image at all")
    page.locator("#upload input[type=file]").first.set_input_files(str(bad))
    page.get_by_text("words.jpg: not an image").first.wait_for()
    shot(page, "bad")


def test_keyboard_only(page: Any) -> None:
    """From the top of the page to a photo and the values at a point, with Tab, Enter and digits alone."""
    seen = []

    def tab_to(wanted: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            found = page.evaluate(
                "() => { const e = document.activeElement; return [e.id, e.closest('[id]')?.id ?? '', "
                "e.textContent.trim().slice(0, 30)].join('|') }"
            )
            seen.append(found)
            if wanted in found:
                return
        raise AssertionError(f"{wanted} is not reached by Tab: {seen}")

    tab_to("example-cat")
    page.keyboard.press("Enter")
    page.locator("#picture-defocus img").wait_for()
    tab_to("column")
    page.keyboard.press("Control+A")
    page.keyboard.type("200")
    tab_to("row")
    page.keyboard.press("Control+A")
    page.keyboard.type("100")
    tab_to("ask")
    page.keyboard.press("Enter")
    assert "column 200, row 100" in settled_text(page, "#point", "column 200")


def test_every_field_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button')].filter(e => e.offsetParent &&
        !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') &&
        !e.textContent.trim() && !e.title).map(e => e.outerHTML.slice(0, 160))"""
    )
    assert not nameless, nameless
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 380, "height": 800}, "device_scale_factor": 1}], indirect=True, ids=["380px"]
)
def test_narrow_screen(page: Any) -> None:
    show_cat(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 385
    shot(page, "narrow")


@pytest.mark.parametrize(
    "page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True, ids=["dark", "light"]
)
def test_dark_and_light(page: Any, request: pytest.FixtureRequest) -> None:
    show_cat(page)
    name = request.node.callspec.id
    ground, ink = page.evaluate(
        """() => { const luminance = colour => { const c = document.createElement('canvas').getContext('2d');
        c.fillStyle = colour; c.fillRect(0, 0, 1, 1); const d = c.getImageData(0, 0, 1, 1).data;
        return (0.2126 * d[0] + 0.7152 * d[1] + 0.0722 * d[2]) / 255; };
        const text = document.querySelector('#law svg text');
        const ground = getComputedStyle(document.body).backgroundColor;
        return [luminance(ground), luminance(getComputedStyle(text).fill)]; }"""
    )
    assert abs(ground - ink) > 0.5
    shot(page, name)


def test_two_photos_and_several(page: Any, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="alignment needs OpenCV (extra demo)")
    with Image.open(find_examples()["Coffee"]) as opened:
        sharp = np.asarray(opened.convert("RGB"))
    soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    half = sharp.shape[1] // 2
    for name, left, right in (("near.png", sharp, soft), ("far.png", soft, sharp)):
        Image.fromarray(np.hstack([left[:, :half], right[:, half:]])).save(tmp_path / name)
    page.get_by_role("tab", name="Two photos").click()
    page.locator("#first input[type=file]").set_input_files(str(tmp_path / "near.png"))
    page.locator("#second input[type=file]").set_input_files(str(tmp_path / "far.png"))
    page.wait_for_timeout(3000)
    page.locator("#fuse").click()
    page.locator("#picture-fused img").wait_for()
    page.locator("#picture-second-1 img").wait_for()
    shot(page, "two")
    page.get_by_role("tab", name="Several photos").click()
    page.locator("#several input[type=file]").first.set_input_files([str(path) for path in find_examples().values()])
    page.wait_for_timeout(3000)
    page.locator("#predict-all").click()
    assert "2 of 2 photos done." in settled_text(page, "#batch-words", "photos done")
    shot(page, "several")
