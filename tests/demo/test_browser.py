"""The page in a real browser: headless Chromium, driven by Playwright, with the shipped model."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs Gradio (extra demo)")
sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by the package playwright")

from tests.support.served_demo import Server, served  # noqa: E402

from mddnet.demo.examples import find_examples  # noqa: E402

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
SLOW_MS = 180_000
DROP_TO_MAPS_S, CORES = 2.0, 2
SCREENSHOTS = os.environ.get("MDDNET_SCREENSHOTS")
"""A folder for screenshots, to look at them."""
DOCS_PICTURES = os.environ.get("MDDNET_DOCS_PICTURES")
"""A folder for the two pictures of docs/demo.md, which its last section says how to take."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no browser on this machine; looked for {', '.join(BROWSERS)}"),
    pytest.mark.skipif(
        "MDDNET_BROWSER_TESTS" not in os.environ, reason="tests in a browser run where MDDNET_BROWSER_TESTS is set"
    ),
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
    opened.locator("#facts[aria-live]").wait_for()  # set by the page's own script: it listens now
    settled_text(opened, "#facts", "512 × 512 px")  # the first example is answered on arrival
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


def docs_picture(page: Any, name: str, top: str, bottom: str) -> None:
    """The page between two elements, with some room around them."""
    if DOCS_PICTURES:
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1500)
        first, last = page.locator(top).bounding_box(), page.locator(bottom).bounding_box()
        y = first["y"] - 12
        clip = {"x": 40, "y": y, "width": 1280, "height": last["y"] + last["height"] + 16 - y}
        path = str(Path(DOCS_PICTURES) / f"{name}.jpg")
        page.screenshot(path=path, type="jpeg", quality=80, full_page=True, clip=clip)


def show_photo(page: Any, path: Path) -> None:
    """Give the page a photo as a visitor does, and wait for its maps and for the refocused photo."""
    with Image.open(path) as opened:
        width, height = opened.size
    page.locator("#upload input[type=file]").first.set_input_files(str(path))
    settled_text(page, "#facts", f"{width} × {height} px")
    page.wait_for_function("() => [...document.querySelectorAll('.mdd-map img')].every(e => e.complete)")
    # Until that is made, the photo stands in its place; the folder of a file is the hash of its content.
    page.wait_for_function(
        """() => { const [a, b] = [...document.querySelectorAll('#hero img')].map(e => e.src.split('/').at(-2));
        return a !== b; }"""
    )


def show_cat(page: Any) -> None:
    show_photo(page, find_examples()["Cat"])


def refocused_url(page: Any) -> str:
    return str(page.locator("#hero img").nth(1).get_attribute("src"))


def rendered(page: Any, before: str) -> str:
    """The address of the refocused photo, once it is another one."""
    page.wait_for_function(
        "before => { const e = document.querySelectorAll('#hero img')[1]; return e?.src !== before && e?.complete; }",
        arg=before,
    )
    return refocused_url(page)


def middle_of(page: Any, selector: str) -> tuple[float, float]:
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def hover(page: Any, x: float, y: float) -> None:
    """Move the pointer until it shows values: on a slow machine the maps may arrive after the pictures."""
    tip = page.locator(".mdd-tip")
    for nth in range(200):
        page.mouse.move(x + nth % 2, y)
        if tip.is_visible():
            return
        page.wait_for_timeout(300)
    tip.wait_for()


def settled_text(page: Any, selector: str, wanted: str) -> str:
    page.locator(selector).get_by_text(wanted).first.wait_for()
    return str(page.locator(selector).inner_text())


def move_slider(page: Any, elem_id: str, steps: int = 1) -> None:
    slider = page.locator(f"#{elem_id} input[type=range]")
    slider.focus()
    for _ in range(steps):
        slider.press("ArrowRight")


def test_an_example_is_answered_on_arrival(page: Any) -> None:
    for name in ("depth", "defocus", "confidence"):
        assert page.locator(f"#picture-{name} img").get_attribute("alt")
    page.locator("#examples img").nth(len(find_examples())).wait_for()  # they come in a request of their own
    assert page.locator("#examples img").count() == len(find_examples()) + 1
    shot(page, "arrival")
    before = refocused_url(page)
    page.locator("#examples button").last.click()  # simulated, with its lens in EXIF
    assert "Depth is in metres." in settled_text(page, "#facts", "Depth is in metres.")
    rendered(page, before)
    shot(page, "simulated")


def test_a_click_focuses_there(page: Any) -> None:
    before = refocused_url(page)
    x, y = middle_of(page, "#hero")
    page.mouse.click(x + 140, y - 120)
    text = settled_text(page, "#point", "circle of confusion")
    assert re.search(r"column [34]\d\d, row 1\d\d", text) and "behind the plane of focus" in text
    assert page.locator("#hero .mdd-marker").count() == 1
    focused = rendered(page, before)
    shot(page, "focused")
    docs_picture(page, "refocus", "h1", "#line")
    page.locator("#own").click()
    rendered(page, focused)
    assert "Click a picture" in page.locator("#point").inner_text()


def test_the_wheel_scrolls_the_page_over_the_photo(page: Any) -> None:
    page.mouse.move(*middle_of(page, "#hero"))
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 200)
    page.wait_for_function("before => scrollY > before", arg=before)


def test_upload_and_click_a_point(page: Any) -> None:
    show_cat(page)
    assert "451 × 300 px" in page.locator("#facts").inner_text()
    x, y = middle_of(page, "#picture-depth img")
    page.mouse.click(x, y)
    text = settled_text(page, "#point", "circle of confusion")
    assert "column 22" in text and "px" in text and "confidence" in text
    shot(page, "point")


def test_the_pointer_shows_the_values_of_a_click_without_requests(page: Any) -> None:
    show_cat(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    x, y = middle_of(page, "#picture-defocus img")
    hover(page, x - 30, y)
    page.mouse.move(x, y, steps=5)
    tip = page.locator(".mdd-tip").inner_text().splitlines()
    assert page.locator(".mdd-cross").count() == 4
    shot(page, "pointer")
    assert not asked, asked
    page.mouse.down()
    page.mouse.up()
    settled_text(page, "#point", "circle of confusion")
    said = [cell.inner_text() for cell in page.locator("#point td").all()]
    assert len(tip) == len(said) == 4 and tip[2].endswith("the plane of focus")

    def numbers(text: str) -> list[float]:
        return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]

    # Both read 451 x 300 values; the click may be one pixel beside.
    for hovered, clicked, within in zip(tip, said, (1, 0.02, 0.5, 0.1), strict=True):
        assert numbers(hovered)[:2] == pytest.approx(numbers(clicked)[:2], abs=within), (hovered, clicked)
    page.mouse.move(5, 5)
    assert page.locator(".mdd-tip").is_hidden()
    page.get_by_role("tab", name="Lens law").click()
    page.locator("#law svg circle").first.wait_for()
    x, y = middle_of(page, "#hero")
    hover(page, x + 60, y)
    assert page.locator("#law .mdd-ring").count() == 1
    page.mouse.move(5, 5)
    assert page.locator("#law .mdd-ring").count() == 0


def test_lens_facts_give_metres(page: Any) -> None:
    show_cat(page)
    assert page.locator("#sensor input").is_hidden()
    page.locator("#lens button").first.click()
    sensor = page.locator("#sensor input")
    sensor.click()
    sensor.fill("5D Mark II")
    page.get_by_role("option", name="Canon EOS 5D Mark II", exact=True).click()
    sync_api.expect(page.locator("#pitch input")).to_have_value("79.823", timeout=SLOW_MS)  # 36 mm over 451 px
    for field, value in (("focal", "50"), ("f-number", "1.8"), ("distance", "0.8")):
        page.locator(f"#{field} input").fill(value)
    page.locator("#apply").click()
    assert "Depth is in metres." in settled_text(page, "#facts", "Depth is in metres.")
    assert " m)" in page.locator(".mdd-ends").first.inner_text()
    page.mouse.move(*middle_of(page, "#picture-depth img"))
    assert re.search(r"1/m = [\d.]+ m", page.locator(".mdd-tip").inner_text())
    page.get_by_role("tab", name="Lens law").click()
    assert "metres below" in page.locator("#law svg").text_content()
    shot(page, "metres")


def test_slider_mask_and_download(page: Any, tmp_path: Path) -> None:
    show_cat(page)
    before = refocused_url(page)
    move_slider(page, "factor", steps=6)
    rendered(page, before)
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
    assert "points without a unit" in settled_text(page, "#points-summary", "points")
    canvas = page.locator("#points canvas")
    canvas.wait_for()
    assert "point cloud" in canvas.get_attribute("aria-label")
    if not page.evaluate("() => !!document.createElement('canvas').getContext('webgl2')"):
        pytest.skip("this browser has no WebGL")

    def seen() -> np.ndarray:
        with Image.open(BytesIO(canvas.screenshot())) as opened:
            return np.asarray(opened.convert("RGB")).astype(int)

    def share_seen(picture: np.ndarray) -> float:
        return float((np.abs(picture - picture[-5, 5]).max(axis=2) > 30).mean())  # the cloud is not in the corners

    def until(done: Callable[[np.ndarray], bool]) -> np.ndarray:
        end = time.monotonic() + SLOW_MS / 1000
        while not done(picture := seen()):
            assert time.monotonic() < end, "nothing changes in the viewer"
            page.wait_for_timeout(300)
        return picture

    until(lambda picture: share_seen(picture) > 0.05)
    page.wait_for_timeout(1000)  # the last points
    front = seen()
    shot(page, "points")
    x, y = middle_of(page, "#points canvas")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=4)
    page.mouse.up()
    until(lambda picture: (np.abs(picture - front).max(axis=2) > 30).mean() > 0.02)
    shot(page, "points-turned")
    page.locator("#still button").first.click()
    move_slider(page, "right")
    page.locator("#picture-cloud img").wait_for()


def test_seconds_from_drop_to_maps(page: Any, server: Server, tmp_path: Path) -> None:
    """A photo of 12 megapixels: its maps take no more than 2 s of two cores, whatever else the machine does."""
    psutil = pytest.importorskip("psutil", reason="the work of the server is measured with psutil")
    with Image.open(find_examples()["Coffee"]) as opened:
        opened.convert("RGB").resize((4000, 3000)).save(tmp_path / "large.jpg", quality=90)
    show_cat(page)  # the first photo pays for what is loaded late
    page.reload()
    settled_text(page, "#facts", "512 × 512 px")
    process = psutil.Process(server.process.pid)
    before, start = sum(process.cpu_times()[:2]), time.monotonic()
    page.locator("#upload input[type=file]").first.set_input_files(str(tmp_path / "large.jpg"))
    text = settled_text(page, "#facts", "4000 × 3000 px")
    page.wait_for_function("() => [...document.querySelectorAll('.mdd-map img')].every(e => e.naturalWidth === 960)")
    wall_s, cpu_s = time.monotonic() - start, sum(process.cpu_times()[:2]) - before
    model = re.search(r"Predicted in ([\d.]+) s", text)
    assert model
    load = os.getloadavg()[0]
    print(f"{wall_s:.2f} s, {model[1]} s of it in the model; {cpu_s:.2f} s of one core; load {load:.1f}")
    assert cpu_s < DROP_TO_MAPS_S * CORES


def test_a_bad_file_is_explained(page: Any, tmp_path: Path) -> None:
    bad = tmp_path / "words.jpg"
    bad.write_text("no image at all")
    page.locator("#upload input[type=file]").first.set_input_files(str(bad))
    page.get_by_text("words.jpg: not an image").first.wait_for()
    shot(page, "bad")
    show_cat(page)  # the field takes another file at once


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

    page.locator("#examples img").nth(1).wait_for()
    tab_to("examples")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    settled_text(page, "#facts", "451 × 300 px")
    tab_to("numbers")
    page.keyboard.press("Enter")
    tab_to("column")
    page.keyboard.press("Control+A")
    page.keyboard.type("200")
    tab_to("row")
    page.keyboard.press("Control+A")
    page.keyboard.type("100")
    tab_to("show-values")
    page.keyboard.press("Enter")
    assert "column 200, row 100" in settled_text(page, "#point", "column 200")


def test_the_page_supports_screen_readers(page: Any) -> None:
    show_cat(page)
    for block in ("facts", "point"):
        assert page.locator(f"#{block}").get_attribute("aria-live") == "polite"
    assert page.locator(".mdd-scale[role=img]").count() == 3
    assert page.evaluate("() => [...document.images].every(e => e.alt)")
    page.get_by_role("tab", name="Lens law").click()
    assert "Defocus in pixels" in page.locator("#law svg[role=img]").get_attribute("aria-label")
    for tab in ("Lens law", "3D", "Blur mask", "Download", "Several photos"):
        page.get_by_role("tab", name=tab).click()
        assert not nameless(page)
    assert page.evaluate("document.documentElement.lang") == "en"


def nameless(page: Any) -> list[str]:
    """The visible controls without a name."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => [...document.querySelectorAll('input, select, textarea, button')].filter(e => e.offsetParent &&
        !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby') &&
        !e.textContent.trim() && !e.title && !e.querySelector('img[alt]:not([alt=""])'))
        .map(e => e.outerHTML.slice(0, 160))"""
    )


@pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}],
    indirect=True,
    ids=["390px"],
)
def test_narrow_screen(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "narrow")
    before = refocused_url(page)
    page.touchscreen.tap(*middle_of(page, "#hero .slider-wrap"))  # the handle, which is no part of the photo
    x, y = middle_of(page, "#hero .slider-wrap")
    page.touchscreen.tap(x + 80, y - 80)
    settled_text(page, "#point", "circle of confusion")
    rendered(page, before)
    shot(page, "narrow-focused")


@pytest.mark.parametrize(
    "page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True, ids=["dark", "light"]
)
def test_dark_and_light(page: Any, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    page.get_by_role("tab", name="Lens law").click()
    page.locator("#law svg text").first.wait_for()
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


def test_a_focal_stack(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="alignment needs OpenCV (extra demo)")
    page.get_by_role("tab", name="Focal stack").click()
    assert "1 of 6 from near to far" in settled_text(page, "#stack-facts", "Depth is in metres.")
    page.locator("#stack-hero img").first.wait_for()
    assert page.locator("#stack-examples img").count() == 6
    shot(page, "stack")
    x, y = middle_of(page, "#stack-hero .slider-wrap")
    page.mouse.click(x + 100, y - 180)  # the wall
    settled_text(page, "#stack-facts", "6 of 6 from near to far")
    page.mouse.move(*middle_of(page, "#stack-picture-depth img"))
    assert re.search(r"1/m = [\d.]+ m", page.locator(".mdd-tip").inner_text())
    shot(page, "stack-far")
    docs_picture(page, "stack", "h1", "#stack-pointer")
    assert not nameless(page)
    scenes = [find_examples()[name] for name in ("Coffee", "Rocket")]
    for number, path in enumerate(scenes):
        with Image.open(path) as opened:
            opened.convert("RGB").resize((600, 400)).save(tmp_path / f"{number}.png")
    page.locator("#frames input[type=file]").first.set_input_files([str(tmp_path / f"{n}.png") for n in (0, 1)])
    page.locator("#frames a[download]").nth(1).wait_for()
    page.locator("#stack-go").click()
    page.get_by_text(re.compile("do not show one scene")).first.wait_for()
    shot(page, "stack-wrong")


def test_two_photos_and_several(page: Any, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="alignment needs OpenCV (extra demo)")
    with Image.open(find_examples()["Coffee"]) as opened:
        sharp = np.asarray(opened.convert("RGB"))
    soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    half = sharp.shape[1] // 2
    for name, left, right in (("near.png", sharp, soft), ("far.png", soft, sharp)):
        Image.fromarray(np.hstack([left[:, :half], right[:, half:]])).save(tmp_path / name)
    page.get_by_role("tab", name="Two photos").click()
    settled_text(page, "#pair-facts", "1 of 2 from near to far")
    page.locator("#first input[type=file]").set_input_files(str(tmp_path / "near.png"))
    page.locator("#second input[type=file]").set_input_files(str(tmp_path / "far.png"))
    page.locator("#pair-lens button").first.click()
    for field, value in (("focal", "50"), ("f-number", "2"), ("pitch", "60"), ("distance-1", "0.6")):
        page.locator(f"#pair-{field} input").fill(value)
    page.get_by_label("Focus distance of the second: infinity").check()
    for field in ("first", "second"):
        page.locator(f"#{field} a[download]").first.wait_for()
    page.locator("#pair-go").click()
    text = settled_text(page, "#pair-facts", "near.png, 1 of 2 from near to far")
    assert "Depth is in metres." in text
    assert " m)" in page.locator(".mdd-ends:visible").first.inner_text()
    shot(page, "two")
    page.get_by_role("tab", name="Several photos").click()
    cats = [shutil.copy(find_examples()["Cat"], tmp_path / f"cat_{number}.png") for number in (1, 2)]
    page.locator("#several input[type=file]").first.set_input_files([str(path) for path in cats])
    page.locator("#batch-lens button").first.click()
    for field, value in (("focal", "50"), ("f-number", "2"), ("pitch", "60"), ("distance", "0.6")):
        page.locator(f"#batch-{field} input").fill(value)
    page.locator("#several a[download]").nth(1).wait_for()
    page.locator("#predict-all").click()
    assert "2 of 2 photos done. Depth is in metres." in settled_text(page, "#batch-summary", "photos done")
    shot(page, "several")
