"""Jobs: what files come out, and that none stay."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.jobs import ArchiveContents, Jobs
from mddnet.demo.lens_form import TypedLens
from mddnet.demo.scratch import Scratch
from mddnet.demo.upload import Limits, check_stack, safe_stem
from mddnet.errors import ImageError, MddnetError
from mddnet.types import Lens


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return set(opened.namelist())


def test_the_archive_has_the_files_of_prediction_save(jobs: Jobs, photo_file: Path, tmp_path: Path) -> None:
    path, facts = jobs.archive(photo_file, None, ArchiveContents())
    saved = LawModel().predict(jobs._read(photo_file, None)).save(tmp_path / "saved")
    assert names(path) == {file.name for file in saved.values()}
    with zipfile.ZipFile(path) as opened:
        for name in ("inv_depth", "signed_defocus_px", "confidence"):
            packed = tifffile.imread(BytesIO(opened.read(f"cup.{name}.tiff")))
            np.testing.assert_array_equal(packed, tifffile.imread(saved[name]))
        assert json.loads(opened.read("cup.json")) == facts
    assert facts["unit"] == "relative" and str(photo_file.parent) not in json.dumps(facts)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # what went into the ZIP is gone


def test_an_archive_with_all_contents(jobs: Jobs, photo_file: Path) -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    lens = Lens(50, 2, 400, 1.1025)
    path, _ = jobs.archive(photo_file, lens, ArchiveContents(("png",), 2.0, None, 4.0, True))
    expected = {"cup.depth_m.png", "cup.aperture_x2.png", "cup.blur_mask.png", "cup.points.ply", "cup.points.glb"}
    assert expected <= names(path)
    with zipfile.ZipFile(path) as opened, Image.open(BytesIO(opened.read("cup.blur_mask.png"))) as mask:
        assert mask.size == (80, 60) and mask.mode == "L"
    with pytest.raises(MddnetError, match="no contents"):
        jobs.archive(photo_file, None, ArchiveContents(()))


def test_lens_facts_replace_exif_or_only_fill_it(jobs: Jobs, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: 50.0, 0x829D: 2.0})
    Image.fromarray(ramp()).save(tmp_path / "exif.jpg", exif=exif)
    assert jobs.maps(tmp_path / "exif.jpg").lens == Lens(50, 2)
    assert jobs.maps(tmp_path / "exif.jpg", Lens()).lens == Lens()
    given = Lens(pixel_um=400)
    _, facts = jobs.archive(tmp_path / "exif.jpg", TypedLens(given), ArchiveContents())
    assert facts["lens"]["focal_mm"] == 50 and facts["unit"] == "1/m from focus"


def test_a_batch_reports_failures_and_continues(jobs: Jobs, photo_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("words")
    steps: list[tuple[int, str]] = []
    result = jobs.batch([photo_file, bad, photo_file], "png", lambda done, name: steps.append((done, name)))
    assert result.done == ("cup.png", "cup.png") and len(result.failures) == 1
    assert result.failures[0].startswith("bad.png: not an image")
    assert steps == [(0, "cup.png"), (1, "bad.png"), (2, "cup.png")]
    assert "cup.inv_depth.png" in names(result.archive)


def test_typed_lens_facts_count_for_every_photo_of_a_batch(jobs: Jobs, photo_file: Path) -> None:
    assert jobs.batch([photo_file]).metric == 0
    result = jobs.batch([photo_file, photo_file], typed=TypedLens(Lens(50, 2, 400, 1.1025)))
    assert result.metric == 2 and "cup.depth_m.tiff" in names(result.archive)


def test_points_and_pictures_for_the_page(jobs: Jobs, photo_file: Path) -> None:
    maps = jobs.maps(photo_file)
    path, cloud = jobs.points(maps)
    assert path.read_bytes()[:4] == b"glTF" and len(cloud.positions) == 4800
    shown = jobs.picture_files({"depth": maps.pixels})
    with Image.open(shown["depth"]) as opened:
        assert opened.format == "PNG" and (np.asarray(opened) == maps.pixels).all()


def test_batches_have_limits(jobs: Jobs, photo_file: Path) -> None:
    for paths in ([], [photo_file] * 4):
        with pytest.raises(MddnetError, match="expected 1 to 3"):
            jobs.batch(paths)
    with pytest.raises(MddnetError, match=r"all photos failed: gone\.jpg"):
        jobs.batch([photo_file.parent / "gone.jpg"])


def halves(folder: Path) -> list[Path]:
    """Two photos of one scene: the left half is sharp in the first, the right half in the second."""
    cv2 = pytest.importorskip("cv2", reason="alignment needs OpenCV (extra demo)")
    pytest.importorskip("scipy", reason="alignment needs SciPy (extra demo)")
    rng = np.random.default_rng(1)
    # Noise of several sizes: the coarse one is what alignment sees in both photos.
    octaves = [
        cv2.resize(rng.normal(0, 25, (h, h * 4 // 3, 3)), (320, 240), interpolation=cv2.INTER_CUBIC)
        for h in (6, 15, 240)
    ]
    sharp = np.clip(128 + sum(octaves), 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 3)
    near, far = sharp.copy(), sharp.copy()
    near[:, :160], far[:, 160:] = soft[:, :160], soft[:, 160:]
    for name, pixels in (("near.png", near), ("far.png", far)):
        Image.fromarray(pixels).save(folder / name)
    return [folder / "near.png", folder / "far.png"]


@pytest.mark.slow
def test_two_photos_are_fused_from_the_sharp_halves(jobs: Jobs, tmp_path: Path) -> None:
    lens = TypedLens(Lens(50, 2, 400))
    view, archive = jobs.stack(halves(tmp_path), lens, [1.1025, float("inf")])
    assert {"stack.all_in_focus.png", "stack.depth_m.tiff", "stack.01.signed_defocus_px.tiff", "stack.ply"} <= {
        name.replace(".points", "") for name in names(archive)
    }
    assert [file.name for file in archive.parent.iterdir()] == [archive.name]
    assert view.names == ("near.png", "far.png") and view.sharp.unit == "1/m"
    height, width = view.sharp.pixels.shape[:2]
    assert height > 200 and width > 280 and len(view.frames) == 2
    # The right half is sharp in the near photo, so it is near.
    assert view.focused_at((0.8, 0.5)) == 0 and view.focused_at((0.2, 0.5)) == 1
    near, far = (view.frame_maps(i) for i in range(2))
    assert near.focus.u_focus == pytest.approx(1 / 1.05, rel=1e-3) and far.focus.u_focus == pytest.approx(0, abs=1e-4)
    assert near.signed_defocus_px[:, : width // 2 - 30].mean() > 10 * abs(near.signed_defocus_px[:, -60:].mean())
    view, _ = jobs.stack(halves(tmp_path), lens, [1.1025, None])
    assert view.sharp.unit == "1/m"
    assert jobs.stack(halves(tmp_path))[0].sharp.unit in ("relative", "ordinal")


def test_photos_that_cannot_be_a_stack(jobs: Jobs, photo_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="alignment needs OpenCV (extra demo)")
    Image.fromarray(ramp(80, 60)).save(tmp_path / "upright.png")
    bad = tmp_path / "bad.png"
    bad.write_text("words")
    Image.fromarray(np.zeros((1500, 1500, 3), np.uint8)).save(tmp_path / "large.png")
    for paths, said in (
        ([photo_file], "1 photos: expected 2 to 3"),
        ([photo_file] * 4, "4 photos: expected 2 to 3"),
        ([photo_file, bad], r"^bad\.png: not an image"),
        ([photo_file, tmp_path / "large.png"], r"^large\.png: 1500 x 1500 px .* 2 mega"),
        ([photo_file, tmp_path / "upright.png"], r"upright\.png: 60 x 80 px; expected 80 x 60|cup\.png"),
    ):
        with pytest.raises(MddnetError, match=said) as told:
            jobs.stack(paths)
        assert str(tmp_path) not in str(told.value) and str(jobs.scratch.root) not in str(told.value)
    assert not [path for path in jobs.scratch.root.iterdir() if path.name.startswith("job-")]


def test_stacks_have_a_limit_for_all_photos_together(photo_file: Path) -> None:
    with pytest.raises(ImageError, match=r"cup\.png: 80 x 60 px .* 0\.009 megapixels together"):
        check_stack([photo_file, photo_file], Limits(batch_megapixels=0.009))


def test_an_example_is_predicted_once(jobs: Jobs) -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    maps, picture = jobs.example("Simulated")
    assert maps.unit == "1/m" and maps.path is not None and jobs.scratch.cache in maps.path.parents
    assert picture.shape == maps.pixels.shape and (picture != maps.pixels).any()
    maps.path.unlink()  # swept
    assert jobs.example("Simulated")[0] is maps and maps.path.is_file()


@pytest.mark.parametrize(
    ("name", "stem"), [("cup.jpg", "cup"), ("../../etc/passwd", "passwd"), ("...", "photo"), ("a b/ü?x.png", "ü_x")]
)
def test_stems_are_plain_names(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


def aged(path: Path, age_s: float, size: int = 1000) -> Path:
    """A file of that size, changed that long before the second 1e9."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\0" * size)
    os.utime(path, (1e9 - age_s, 1e9 - age_s))
    return path


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    made = Scratch(max_mb=0.0025, max_age_s=100)
    yield made
    made.close()
    assert not made.root.exists()


def test_old_files_go_first(scratch: Scratch) -> None:
    files = [aged(scratch.cache / f"hash{age}" / "result.zip", age) for age in (500, 30, 20, 10)]
    assert scratch.sweep(now=1e9) == 2  # one is too old, and of the other three only two fit
    assert [file.parent.exists() for file in files] == [False, False, True, True]


def test_results_go_before_uploads_that_may_wait(scratch: Scratch) -> None:
    upload = aged(scratch.cache / "one" / "cup.jpg", 50)
    results = [aged(scratch.cache / f"hash{age}" / "result.zip", age) for age in (30, 20, 10)]
    scratch.sweep(now=1e9)
    assert upload.exists() and [file.exists() for file in results] == [False, False, True]


def test_a_job_at_work_keeps_its_files_and_a_failed_one_none(scratch: Scratch) -> None:
    with scratch.job() as job:
        file = aged(job / "result.zip", 900, 5000)
        scratch.sweep(now=1e9)
        assert file.exists()
    scratch.sweep(now=1e9 - 890)
    assert file.exists()  # too large, but just finished
    scratch.sweep(now=1e9)
    assert not file.exists()
    with pytest.raises(MddnetError), scratch.job() as job:
        aged(job / "result.zip", 0)
        raise MddnetError("no")
    assert not job.exists()
