"""What Python code may hand to `predict` besides a path: frames, closed images, odd arrays; copies of a model."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import mddnet
from mddnet.errors import ImageError
from mddnet.predict.predictor import Model, photo_from
from mddnet.types import UInt8Array

GREYS = (20, 120, 220)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return mddnet.load(tiny_model, threads=1)


def frame(grey: int) -> UInt8Array:
    """(48, 64, 3): a level of grey with some texture."""
    pixels = np.full((48, 64, 3), grey, np.uint8)
    pixels[::2, ::2] += 10
    return pixels


@pytest.fixture(params=["gif", "tif", "webp", "png"])
def animation(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three frames of rising level."""
    path = tmp_path / f"clip.{request.param}"
    first, *others = [Image.fromarray(frame(grey)) for grey in GREYS]
    options: dict[str, Any] = {"lossless": True} if request.param == "webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    return path


def test_every_frame_of_an_iterator_is_itself(animation: Path, model: Model, tmp_path: Path) -> None:
    with Image.open(animation) as image:
        levels, stems, notes = [], [], []
        for number, current in enumerate(ImageSequence.Iterator(image)):
            prediction = model.predict(current)
            assert image.tell() == number
            levels.append(float(np.median(prediction.photo.pixels)))
            stems.append(prediction.save(tmp_path / "out")["facts"].name)
            notes += [note for note in prediction.notes if "frames was read" in note]
    assert levels == pytest.approx(GREYS, abs=3)
    assert len(set(stems)) == 3 and stems[0] == "clip.json"  # no frame replaces another's results
    assert [note.split(" of several")[0] for note in notes] == ["The first", "Number 2", "Number 3"]


def test_the_frame_at_which_an_image_stands_is_taken(animation: Path) -> None:
    with Image.open(animation) as image:
        for number in (2, 0, 1):
            image.seek(number)
            assert np.median(photo_from(image).pixels) == pytest.approx(GREYS[number], abs=3)
            assert image.tell() == number
    assert np.median(photo_from(animation).pixels) == pytest.approx(GREYS[0], abs=3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif"])
def test_a_closed_image_is_called_closed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cup.{suffix}"
    Image.fromarray(frame(100)).save(path)
    with Image.open(path) as left:
        pass
    closed, loaded = Image.open(path), Image.open(path)
    loaded.load()
    made = Image.fromarray(frame(100))
    for image in (closed, loaded, made):
        image.close()
    for image in (left, closed, loaded, made):
        with pytest.raises(ImageError, match="closed Pillow image"):
            photo_from(image)
    with Image.open(path) as kept:
        kept.load()
    assert photo_from(kept).pixels.shape == (48, 64, 3)  # its pixels were read while it was open


@pytest.mark.parametrize(
    "pixels",
    [
        frame(100).astype(np.float32) / 255,
        frame(100)[:, :, 0],
        frame(100).astype(np.uint16) * 257,
        np.dstack([frame(100), frame(100)[:, :, :1]]),
        frame(100).tolist(),
        frame(100)[:8],
        np.zeros((0, 0, 3), np.uint8),
        None,
    ],
)
def test_a_photo_of_other_pixels_is_an_image_error(model: Model, pixels: Any) -> None:
    with pytest.raises(ImageError, match="expected"):
        model.predict(mddnet.Photo(pixels))


def test_a_folder_is_refused_with_the_way_to_go(model: Model, tmp_path: Path) -> None:
    Image.fromarray(frame(100)).save(tmp_path / "cup.jpg")
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(ImageError, match=r"a folder; .*predict\(\[\*Path\(folder\)\.glob"):
            model.predict(folder)
    assert len(model.predict([*tmp_path.glob("*.jpg")])) == 1


@pytest.mark.parametrize("name", ["n" * 300, "nul\0.png", "", "nowhere.png"])
def test_a_name_that_no_file_has_is_an_image_error(model: Model, name: str) -> None:
    with pytest.raises(ImageError, match="expected"):
        model.predict(name)


def predicted(model: Model) -> np.ndarray:
    """In another process."""
    return model.predict(frame(100)).inv_depth


def test_a_model_is_copied_and_pickled_by_its_path(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_model.parent)
    model = mddnet.load(tiny_model.name, threads=1, shares_cores=True)
    data = pickle.dumps(model)
    assert len(data) < 1000
    monkeypatch.chdir("/")
    expected = model.predict(frame(100)).inv_depth
    for copied in (pickle.loads(data), copy.deepcopy(model), copy.copy(model)):
        assert (copied.name, copied.version) == (model.name, model.version)
        np.testing.assert_array_equal(copied.predict(frame(100)).inv_depth, expected)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(predicted, (model,)), expected)


def test_the_shipped_model_is_pickled_by_its_name() -> None:
    """So that it can be read where mddnet is installed elsewhere."""
    assert str(Path(mddnet.__file__).parent).encode() not in pickle.dumps(mddnet.load(threads=1))
