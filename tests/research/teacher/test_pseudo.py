"""Pseudo-labels are captures that the package reads, and held-out photos get none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from research.teacher.held_out import HeldOut
from research.teacher.pseudo import RANGE, coded, photo_rows, write_label

from mddnet.captures.rgbd import PSEUDO_COLUMNS, list_pseudo
from mddnet.io.atomic import write_csv


def test_codes_are_linear_and_never_unknown() -> None:
    codes = coded(np.array([[-99.0, -RANGE, 0.0, RANGE]], dtype=np.float32))
    assert codes.tolist() == [[1, 1, 32768, 65535]]


def test_labels_are_read_by_the_package_and_not_made_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = next(iter(HeldOut().names("calib", "photo"))).removeprefix("photos/")
    names = ["mine/a.jpg", held]
    for name in names:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
    rows = [{"file": f"photos/{name}", "source": "mine", "licence": "CC0"} for name in names]
    write_csv(tmp_path / "photos" / "manifest.csv", ("file", "source", "licence"), rows)
    wanted = photo_rows(tmp_path / "photos", HeldOut())
    assert [row["file"] for row in wanted] == ["mine/a.jpg"]

    shapes = []

    def predictor(rgb):
        shapes.append(rgb.shape)
        return np.linspace(-1, 1, 24, dtype=np.float32)[:, None].repeat(32, axis=1)

    out = tmp_path / "pseudo"
    for _ in range(2):  # the second time it is there
        made = [write_label(tmp_path / "photos" / row["file"], out, row, predictor) for row in wanted]
    assert shapes == [(24, 32, 3)]
    write_csv(out / "manifest.csv", PSEUDO_COLUMNS, made)
    (frame,) = list_pseudo(out)
    u = frame.read_inv_depth()
    assert frame.unit == "relative" and frame.location == "photos/mine" and np.isfinite(u).all()
    assert np.allclose((u - u[0, 0]) / (u[-1, 0] - u[0, 0]), np.linspace(0, 1, 24)[:, None], atol=1e-3)
