"""The page over loopback, as a script sees it: results, messages, limits, and what it must not give out."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs Gradio (extra demo)")
gradio_client = pytest.importorskip("gradio_client", reason="the API is called by gradio_client")
import httpx  # noqa: E402  comes with gradio_client
from tests.support.made_png_bomb import png_bomb  # noqa: E402
from tests.support.served_demo import LAW_SERVER, Server, served  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("-c", LAW_SERVER, "64") as running:
        yield running
    assert running.scratch is not None and not running.scratch.exists(), "temporary files are left"


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> gradio_client.Client:
    return gradio_client.Client(server.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.mark.slow
def test_predict(client: gradio_client.Client, photo_file: Path) -> None:
    facts, archive = client.predict(gradio_client.handle_file(photo_file), None, None, None, None, api_name="/predict")
    assert facts["unit"] == "relative" and facts["width_px"] == 80 and facts["focus"]["u_focus"] == 0.5
    with zipfile.ZipFile(archive) as opened:
        assert {"cup.inv_depth.tiff", "cup.signed_defocus_px.tiff", "cup.json"} <= set(opened.namelist())


def test_predict_with_a_lens_gives_metres(client: gradio_client.Client, photo_file: Path) -> None:
    file = gradio_client.handle_file(photo_file)
    facts, _ = client.predict(file, 50, 2, 400, 1.1025, api_name="/predict")
    assert facts["unit"] == "1/m" and facts["lens"]["focal_mm"] == 50
    with pytest.raises(gradio_client.exceptions.AppError, match=r"f-number: .*positive number"):
        client.predict(file, 50, -2, 400, 1, api_name="/predict")


def test_magnify_batch_and_fuse(client: gradio_client.Client, photo_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    file = gradio_client.handle_file(photo_file)
    picture = client.predict(file, 2, api_name="/magnify")
    with Image.open(picture) as opened:
        assert opened.size == (80, 60)
    bad = tmp_path / "bad.png"
    bad.write_text("words")
    words, archive = client.predict([file, gradio_client.handle_file(bad)], "npy", api_name="/batch")
    assert words.startswith("1 of 2 photos done.") and "bad.png: not an image" in words
    assert "cup.inv_depth.npy" in zipfile.ZipFile(archive).namelist()
    facts = {"focal_mm": 50, "f_number": 2, "pixel_um": 400, "focus_m": 1.1025}
    words, archive = client.predict([file], "tiff", api_name="/batch", **facts)
    assert words == "1 of 1 photos done. Depth is in metres."
    assert "cup.depth_m.tiff" in zipfile.ZipFile(archive).namelist()
    with pytest.raises(gradio_client.exceptions.AppError, match=r"a plate .*list"):
        client.predict([file], "tiff", camera="a plate", api_name="/batch")
    with pytest.raises(gradio_client.exceptions.AppError, match="photo is missing"):
        client.predict(file, None, api_name="/fuse")
    with pytest.raises(gradio_client.exceptions.AppError, match="1 photos: expected 2"):
        client.predict([file], api_name="/stack")


def test_two_photos_are_fused_and_stacked(client: gradio_client.Client, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    from mddnet.demo.examples import example_frames

    files = []
    for name, content in example_frames(two=True).items():
        (tmp_path / name).write_bytes(content)
        files.append(gradio_client.handle_file(tmp_path / name))
    text, picture, archive = client.predict(*files, api_name="/fuse")
    assert text.startswith("Depth is in metres.")
    with Image.open(picture) as opened:
        assert opened.size[0] > 600
    assert {"stack.depth_m.tiff", "stack.all_in_focus.png"} <= set(zipfile.ZipFile(archive).namelist())
    text, _, archive = client.predict(files, focus_m="0.6, 1.15", api_name="/stack")
    assert "stack.01.signed_defocus_px.tiff" in zipfile.ZipFile(archive).namelist()
    with pytest.raises(gradio_client.exceptions.AppError, match="focus distances near"):
        client.predict(files, focus_m="near", api_name="/stack")


def test_bad_files_get_a_clear_message(client: gradio_client.Client, server: Server, tmp_path: Path) -> None:
    words = tmp_path / "words.jpg"
    words.write_text("no image at all")
    for path, said in ((words, "words.jpg: not an image"), (png_bomb(tmp_path / "bomb.png"), "bomb.png: 30000 x")):
        with pytest.raises(gradio_client.exceptions.AppError, match=said) as told:
            client.predict(gradio_client.handle_file(path), None, None, None, None, api_name="/predict")
        assert str(server.scratch) not in str(told.value)


def test_a_file_that_is_too_large_is_not_taken(server: Server, tmp_path: Path) -> None:
    content = b"\x89PNG\r\n\x1a\n" + b"\0" * 9_000_000
    answer = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("large.png", content)}, timeout=120)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "pyproject.toml",
        "../../../../etc/passwd",
        "%2Fetc%2Fpasswd",
        "src/mddnet/version.py",
        "{scratch}",
    ],
)
def test_no_file_of_the_server_is_given_out(server: Server, path: str) -> None:
    path = path.replace("{scratch}", str(server.scratch))
    for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/gradio_api/stream/"):
        answer = httpx.get(server.url + prefix + path, timeout=60)
        assert answer.status_code >= 400, f"{prefix}{path}: {answer.status_code}"


@pytest.mark.parametrize("path", ["/etc/passwd", "http://127.0.0.1:9/cup.png", "file:///etc/passwd"])
def test_no_path_of_the_server_is_read_as_an_upload(server: Server, path: str) -> None:
    data = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "cup.png"}
    url = f"{server.url}/gradio_api/call/predict"
    answer = httpx.post(url, json={"data": [data, None, None, None, None]}, timeout=60)
    if answer.status_code == 200:
        told = httpx.get(f"{url}/{answer.json()['event_id']}", timeout=120).text
        assert "event: error" in told and "root:" not in told and "inv_depth" not in told


def test_only_the_documented_endpoints_are_there(client: gradio_client.Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/predict", "/magnify", "/batch", "/stack", "/fuse"}


@pytest.mark.slow
def test_fifty_requests_at_once(server: Server, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="the memory of the server is measured with psutil")
    rng = np.random.default_rng(0)
    path = tmp_path / "large.jpg"
    Image.fromarray(rng.integers(0, 256, (1500, 2000, 3), dtype=np.uint8)).save(path, quality=80)  # 3 megapixels
    process = psutil.Process(server.process.pid)
    before, most = process.memory_info().rss, 0
    clients = [
        gradio_client.Client(server.url, verbose=False, download_files=False, httpx_kwargs={"timeout": 600})
        for _ in range(5)
    ]
    file = gradio_client.handle_file(path)
    started = [clients[i % len(clients)].submit(file, None, None, None, None, api_name="/predict") for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(lambda job=job: job.result(timeout=500)) for job in started]
        while not all(one.done() for one in waiting):
            most = max(most, process.memory_info().rss)
            try:
                next(one for one in waiting if not one.done()).exception(timeout=0.2)
            except (TimeoutError, StopIteration):
                continue
    failures = [one.exception() for one in waiting if one.exception() is not None]
    assert not failures, failures[0]
    # 3 megapixels take about 100 MB of maps for one request; fifty of them would be 5 GB.
    assert most - before < 1e9, f"{(most - before) / 1e6:.0f} MB"
    # Fifty results of 50 MB each are 2.5 GB; the page keeps 200 MB, and the last ones.
    assert server.scratch is not None
    kept = sum(file.stat().st_size for file in server.scratch.rglob("*") if file.is_file())
    assert kept < 600e6, f"{kept / 1e6:.0f} MB"


@pytest.mark.slow
def test_a_full_queue_is_reported(photo_file: Path) -> None:
    with served("-c", LAW_SERVER, "1") as small:
        client = gradio_client.Client(small.url, verbose=False, download_files=False)
        file = gradio_client.handle_file(photo_file)
        started = [client.submit(file, None, None, None, None, api_name="/predict") for _ in range(20)]
        said = []
        for job in started:
            try:
                job.result(timeout=300)
                said.append("served")
            except Exception as error:
                said.append(str(error))
        assert "served" in said and any("full" in text.lower() for text in said), said
