"""Functions in JavaScript give what those of the same name in Python give, on made and random inputs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.fusion import FusionInput, fuse
from mddnet.predict.metric_scale import MetricErrors
from mddnet.predict.plane_of_focus import isotonic
from mddnet.types import Lens

pytestmark = pytest.mark.slow

CELLS = (24, 33)
LENS = Lens(focal_mm=50, f_number=2.0, pixel_um=40, focus_m=1.2)

FUSE = """async ({ answers, lens, cap, metric, cells, size }) => {
  const { fuse } = await import("/try/fusion.js");
  const floats = Object.fromEntries(["depth", "depthLogSigma", "cocPx", "cocLogSigma", "signLogit"]
    .map((name) => [name, Float32Array.from(answers[name])]));
  const photo = { h: size[0], w: size[1], data: Uint8Array.from(answers.photo) };
  const result = fuse({ h: cells[0], w: cells[1], ...floats, photo, scale: answers.scale, camera: answers.camera },
    Object.fromEntries(Object.entries(lens).map(([name, value]) => [name, value === "inf" ? Infinity : value])),
    cap, metric);
  const maps = Object.entries(result.maps).map(([name, map]) => [name, map && Array.from(map.data)]);
  return { ...result, maps: Object.fromEntries(maps) };
}"""


def made_answers(seed: int, kind: str) -> FusionInput:
    """Answers of a network that sees a slope with an object before it, more or less in accord with the lens law."""
    rng = np.random.default_rng(seed)
    h, w = CELLS
    depth = np.linspace(0.2, 1.0, h)[:, None] + np.zeros((h, w))
    depth[6:14, 8:20] += 0.7
    depth += rng.normal(0, 0.02, (h, w))
    if kind == "flat":
        depth[:] = 1.0
    coc_px = np.abs(14.0 * (0.6 - depth)) + rng.uniform(0, 0.6, (h, w))
    if kind == "sharp":
        coc_px = rng.uniform(0, 0.4, (h, w))
    if kind == "against":
        coc_px = rng.uniform(0, 12, (h, w))
    if kind == "clipped":
        coc_px *= 6
    photo = rng.integers(0, 256, (4 * h - 1, 4 * w - 2, 3)) // 3 + 60
    photo[24:56, 32:80] += 90
    f32 = np.float32
    return FusionInput(
        (3 * depth - 1).astype(f32), rng.uniform(-2, 0, (h, w)).astype(f32), coc_px.astype(f32),
        rng.uniform(-2, 0, (h, w)).astype(f32), np.where(depth < 0.6, 3, -3).astype(f32), photo.astype(np.uint8), 2.5,
        CameraEstimate(0.4, 0.2, 1.5, 0.3),
    )  # fmt: skip


def camel(names: dict[str, Any]) -> dict[str, Any]:
    """Names as in JavaScript."""
    return {"".join(p.title() if i else p for i, p in enumerate(name.split("_"))): v for name, v in names.items()}


def computed(modules: Any, function: str, given: Any) -> Any:
    """What a JavaScript function returns; as text, since the driver handles long lists one number at a time."""
    return json.loads(
        modules.evaluate(f"async (text) => JSON.stringify(await ({function})(JSON.parse(text)))", json.dumps(given))
    )


def fused_in_browser(
    modules: Any, answers: FusionInput, lens: Lens, cap_px: float, metric: MetricErrors
) -> dict[str, Any]:
    names = ("depth", "depth_log_sigma", "coc_px", "coc_log_sigma", "sign_logit", "photo")
    given = camel({name: getattr(answers, name).ravel().tolist() for name in names})
    given |= {"scale": answers.scale, "camera": camel(asdict(answers.camera)) if answers.camera else None}
    size = list(answers.photo.shape[:2])
    return computed(
        modules,
        FUSE,
        {
            "answers": given,
            "lens": camel(lens.to_json()),
            "cap": cap_px,
            "metric": asdict(metric),
            "cells": list(CELLS),
            "size": size,
        },
    )


@pytest.mark.parametrize("kind", ["law", "flat", "sharp", "against", "clipped"])
@pytest.mark.parametrize(
    "lens",
    [Lens(), LENS, Lens(50, 2, 40), Lens(50, 2, 40, math.inf), Lens(50, 2, 40, 0.1)],
    ids=["none", "metric", "unknown", "infinity", "impossible"],
)
def test_fusion(modules: Any, kind: str, lens: Lens) -> None:
    answers = made_answers(len(kind), kind)
    metric = MetricErrors(0.7, 0.5)
    expected, found = fuse(answers, lens, 64.0, metric), fused_in_browser(modules, answers, lens, 64.0, metric)
    assert found["unit"] == expected.unit and found["focus"]["found"] == expected.focus.found
    assert found["focus"]["reason"] == expected.focus.reason
    if expected.focus.found:
        assert found["focus"]["uFocus"] == pytest.approx(expected.focus.u_focus, rel=1e-4, abs=1e-5)
        assert found["focus"]["kappaPx"] == pytest.approx(expected.focus.kappa_px, rel=1e-4)
    assert found["focus"]["residualPx"] == pytest.approx(expected.focus.residual_px, rel=1e-4, abs=1e-6)
    for said, note in zip(found["notes"], expected.notes, strict=True):
        assert said == note
    for name in ("inv_depth", "defocus_px", "sign", "confidence", "inv_depth_error"):
        values, wanted = found["maps"][next(iter(camel({name: 0})))], getattr(expected.maps, name)
        assert (values is None) == (wanted is None), name
        if wanted is not None:
            difference = np.abs(np.reshape(values, wanted.shape) - wanted) / max(float(np.ptp(wanted)), 1.0)
            assert np.quantile(difference, 0.999) < 1e-4, (name, difference.max())


@pytest.mark.parametrize(
    ("size", "target"), [((90, 61), (33, 32)), ((40, 50), (64, 80)), ((301, 517), (37, 64)), ((1000, 640), (96, 61))]
)
def test_resizing_is_that_of_pillow_to_the_bit(modules: Any, size: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(target[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0)
    found = computed(
        modules,
        """async ({ h, w, data, target }) => {
        const { resizedLanczos } = await import("/try/pillow.js");
        return Array.from(resizedLanczos({ h, w, data: Uint8Array.from(data) }, ...target, 3).data); }""",
        {"h": size[0], "w": size[1], "data": pixels.ravel().tolist(), "target": list(target)},
    )
    assert (np.reshape(found, (*target, 3)) == np.asarray(expected)).all()


@pytest.mark.parametrize("target", [(80, 101), (20, 13)])
def test_bilinear_resizing_of_maps(modules: Any, target: tuple[int, int]) -> None:
    values = np.random.default_rng(1).normal(size=(31, 47)).astype(np.float32)
    expected = np.asarray(Image.fromarray(values).resize(target[::-1], Image.Resampling.BILINEAR))
    found = computed(
        modules,
        """async ({ data, target }) => {
        const { resizedBilinear } = await import("/try/pillow.js");
        return Array.from(resizedBilinear({ h: 31, w: 47, data: Float32Array.from(data) }, ...target).data); }""",
        {"data": values.ravel().tolist(), "target": list(target)},
    )
    assert np.allclose(np.reshape(found, target), expected, atol=1e-6)


def test_isotonic(modules: Any) -> None:
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=32), rng.uniform(0.1, 2, 32)
    found = computed(
        modules,
        """async ([values, weight]) => Array.from((await import("/try/plane_of_focus.js")).isotonic(values, weight))""",
        [values.tolist(), weight.tolist()],
    )
    assert np.allclose(found, isotonic(values[None], weight)[0])


@pytest.mark.parametrize("diameter_px", [2.0, 4.0, 9.5, 21.0, 40.0])
def test_added_blur_has_the_variance_of_its_disc(modules: Any, diameter_px: float) -> None:
    side = 101
    found = computed(
        modules,
        """async ([side, diameter]) => {
        const { discBlurred } = await import("/try/render.js");
        const plane = new Float32Array(side * side);
        plane[(side * side - 1) / 2] = 1;
        return Array.from(discBlurred(plane, side, side, diameter / 2)); }""",
        [side, diameter_px],
    )
    kernel = np.reshape(found, (side, side))
    at = np.arange(side) - side // 2
    variance = float((kernel.sum(axis=0) * at**2).sum())
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5) and kernel.min() > -1e-7
    # the pixel grid adds up to 1/6 of a pixel squared
    assert diameter_px**2 / 16 - 0.05 <= variance <= diameter_px**2 / 16 + 0.2
