"""Public data sets: the truth scores 1, what does not fit is named, mask, crop, cap and alignment are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.evaluate import Options, evaluate_dataset, markdown, write_evaluation
from mddnet.evaluate.datasets.record import Dataset, Item, Protocol
from mddnet.evaluate.methods import estimate_from
from mddnet.evaluate.tables import result_tables
from mddnet.metrics import AlignmentChoice, Truth
from mddnet.types import LensLawFit

H, W = 64, 80
NOT_FOUND = LensLawFit(False, float("nan"), float("nan"), float("nan"), "made")


def sharp_photo(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


def made_inv_depth(seed: int) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    tilt = np.random.default_rng(seed).random()
    return (0.3 + tilt * rows / H + (1 - tilt) * columns / W).astype(np.float32)


@dataclass
class Oracle:
    """Knows the maps of the photos that it was told, both ways up."""

    known: dict[bytes, Any]

    def learn(self, photo: np.ndarray, inv_depth: np.ndarray, signed: np.ndarray) -> None:
        for turn in (slice(None), slice(None, None, -1)):
            maps = SimpleNamespace(
                inv_depth=np.ascontiguousarray(inv_depth[turn, turn]),
                defocus_px=np.abs(signed[turn, turn]),
                signed_defocus_px=signed[turn, turn],
                focus=NOT_FOUND,
                confidence=np.ones(photo.shape[:2], np.float32),
            )
            self.known[photo[turn, turn].tobytes()] = maps

    def predict(self, photo: np.ndarray) -> Any:
        return self.known[photo.tobytes()]


def made_dataset(photos: list[Truth], name: str = "nyu-png", protocol: Protocol | None = None) -> Dataset:
    def item(k: int) -> Item:
        return Item(f"photo_{k}", "even" if k % 2 == 0 else "odd", lambda: photos[k])

    listing = [*(item(k) for k in range(len(photos))), ("lost.png", "its depth is missing")]
    words = Protocol("pixels that a test made", None, (0.1, 10.0))
    return Dataset(name, "Made", "s", "o", "l", "e", protocol or words, lambda _: listing)


def depth_and_blur(count: int = 4) -> tuple[Oracle, list[Truth]]:
    oracle, photos = Oracle({}), []
    for k in range(count):
        u = made_inv_depth(k)
        signed = (8 * (0.8 - u)).astype(np.float32)
        oracle.learn(sharp_photo(k), u, signed)
        photos.append(Truth(sharp_photo(k), u, signed_defocus_px=signed, defocus_px=np.abs(signed)))
    return oracle, photos


def test_the_truth_scores_one_and_the_choices_are_printed(tmp_path: Path) -> None:
    oracle, photos = depth_and_blur()
    result = evaluate_dataset(oracle, made_dataset(photos), tmp_path, options=Options(pairs_per_photo=500))
    assert result.failures == [("lost.png", "its depth is missing")]
    m = result.kinds["nyu-png"].model.macro
    for name in ("depth_ordinal", "depth_ordinal_rotated", "defocus_ordinal", "sign_accuracy", "delta1", "blur_f"):
        assert m[name] == pytest.approx(1.0), name
    assert m["depth_spearman"] == pytest.approx(1.0) and m["defocus_spearman"] == pytest.approx(1.0)
    for name in ("abs_rel", "coc_mae_px", "sigma_mae", "inv_depth_error"):
        assert m[name] == pytest.approx(0.0, abs=1e-5), name
    assert set(result.kinds["nyu-png"].model.locations) == {"even", "odd"}
    text = markdown(result)
    for said in (
        "Mask: pixels that a test made. Crop: none. Cap: depths from 0.1 to 10 m are evaluated, ",
        "Alignment: robust scale-and-shift in inverse depth.",
        "| **all photos** | 4 |",
        "its depth is missing",
    ):
        assert said in text, said
    calibration = result.kinds["nyu-png"].model.reliability
    assert calibration is not None and len(calibration.coc) >= 2
    assert all(found.low_px <= found.quartiles_px[1] <= found.high_px for found in calibration.coc)


def test_alignment_cap_and_limit_are_applied(tmp_path: Path) -> None:
    oracle, photos = depth_and_blur()
    for maps in oracle.known.values():
        maps.inv_depth = maps.inv_depth / 2
    dataset = made_dataset(photos)
    none = evaluate_dataset(
        oracle, dataset, tmp_path, limit=2, options=Options(pairs_per_photo=500, alignment=AlignmentChoice("none"))
    )
    assert none.kinds["nyu-png"].model.macro["abs_rel"] == pytest.approx(1.0, rel=0.2)  # twice as far
    assert none.options["photos"] == "2 of 4" and none.options["alignment"] == "none"
    scaled = evaluate_dataset(
        oracle, dataset, tmp_path, options=Options(pairs_per_photo=500, alignment=AlignmentChoice("scale", "depth"))
    )
    assert scaled.kinds["nyu-png"].model.macro["abs_rel"] == pytest.approx(0.0, abs=1e-4)
    capped = evaluate_dataset(oracle, dataset, tmp_path, options=Options(pairs_per_photo=500), cap_m=1.0)
    assert "0.1 to 1 m" in capped.options["cap"]
    assert dataset.chosen_protocol("none", "none") == Protocol("pixels that a test made")
    with pytest.raises(ValueError, match="cap"):
        dataset.chosen_protocol("published", -1.0)


def test_photos_of_a_wrong_size_are_reported_and_the_others_measured(tmp_path: Path) -> None:
    oracle, photos = depth_and_blur(3)
    photos[1] = Truth(photos[1].photo, np.full((H, W), np.nan, np.float32), "1/m")
    photos[2] = Truth(photos[2].photo, made_inv_depth(2)[:10], "1/m")
    result = evaluate_dataset(oracle, made_dataset(photos), tmp_path, options=Options(pairs_per_photo=500))
    assert len(result.kinds["nyu-png"].model.frames) == 1
    why = dict(result.failures)
    assert "no known pixel" in why["Made, photo_1"] and "expected 80 x 64" in why["Made, photo_2"]


class Made:
    """A baseline that states what it is made to."""

    def __init__(self, name: str, quantity: Any, values: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name, self.quantities, self.values = name, (quantity,), values

    def infer(self, photo: np.ndarray) -> Any:
        return estimate_from(self.quantities[0], self.values(photo).astype(np.float32))


class Page(HTMLParser):
    """Tags and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)


@pytest.mark.slow
def test_side_by_side_in_table_json_comparison_and_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra report")
    oracle, photos = depth_and_blur()
    baselines = [
        Made("quarter", "sigma_px", lambda photo: oracle.predict(photo).defocus_px / 4),
        Made("<b>metres</b>", "depth_m", lambda photo: 1 / oracle.predict(photo).inv_depth),
    ]
    result = evaluate_dataset(
        oracle, made_dataset(photos), tmp_path, options=Options(pairs_per_photo=500), baselines=baselines
    )
    names = [path.name for path in write_evaluation(result, tmp_path / "out")]
    assert names == ["evaluation.json", "evaluation.md", "report.html", "comparison.jpg"]
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert data["kinds"]["nyu-png"]["baselines"]["quarter"]["macro"]["coc_mae_px"] == pytest.approx(0.0, abs=1e-5)
    assert set(data["made"]) == {"version", "commit", "machine", "made_at"} and data["options"]["dataset"] == "nyu-png"
    tables = {table.title: [row[0] for row in table.rows] for table in result_tables(result)}
    assert tables["Made: defocus side by side"] == ["model", "quarter"]
    assert tables["Made: depth side by side"] == ["model", "<b>metres</b>"]
    with Image.open(tmp_path / "out" / "comparison.jpg") as sheet:
        assert sheet.width > 1000 and sheet.height > 300
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    parsed = Page(page)
    assert not {"script", "link", "iframe", "b"} & set(parsed.tags) and parsed.tags.count("img") >= 10
    assert parsed.links and all(link.startswith("data:image/") for link in parsed.links)
    assert "http" not in page.replace("http-equiv", "").split("Choices that the numbers depend on")[0]
    for words in (
        "depth: ordinal",
        "Defocus response",
        "Worst by",
        "Best by",
        "Not measured",
    ):
        assert words in page, words
