"""The harness, on predictors of known quality: the truth scores 1, noise a half, the row prior like its baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mddnet.errors import CaptureError, ModelError
from mddnet.evaluate import PARTS, Options, evaluate_model, markdown, print_tables, write_evaluation
from mddnet.evaluate.discs import SHAPE_DIAMETERS_PX, SHAPES
from mddnet.evaluate.methods import estimate_from
from mddnet.evaluate.run import measure_speed
from mddnet.evaluate.tables import result_tables
from mddnet.kinds import KINDS
from mddnet.metrics import AlignmentChoice
from mddnet.scenes.store import write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord

AddScene = Callable[..., Path]
SCENES = ("focal_stacks", "light_fields", "rgbd", "stereo")


@pytest.fixture
def every_kind(made: Any, add_scene: AddScene) -> Any:
    add_scene("focal_stacks", "stack_a", "a", untrusted=True)
    add_scene("focal_stacks", "stack_b", "b", unit="1/m")
    add_scene("light_fields", "field", "field", provenance="rendered")
    add_scene("rgbd", "desk_1", "rgbd/desk", unit="1/m", provenance="rendered")
    add_scene("stereo", "table", "stereo/table", unit="ordinal", provenance="rendered")
    return made


def test_the_truth_scores_one_both_ways_up(every_kind: Any) -> None:
    result = evaluate_model(
        every_kind.oracle,
        every_kind.root,
        None,
        only=SCENES,
        split_of=every_kind.locations,
        options=Options(pairs_per_photo=2000),
    )
    assert not result.failures
    h = result.headline
    for kind in SCENES:
        for measure in (
            "depth_ordinal",
            "depth_ordinal_rotated",
            "depth_ordinal_law",
            "depth_ordinal_law_true_sign",
            "defocus_ordinal",
            "sign_accuracy",
            "sign_away_from_edges",
        ):
            assert h[f"{kind}.{measure}"] == 1.0, (kind, measure)
        assert h[f"{kind}.coc_mae_px"] == pytest.approx(0.0, abs=1e-3)
        assert h[f"{kind}.coc_constant_mae_px"] > 0.5
        assert 0.6 < h[f"{kind}.vertical_position_prior"] < 0.9  # the made depth is slanted to the lower right
        assert 0.7 < h[f"{kind}.defocus_ordinal_sharpness"] < 1.0
        assert h[f"{kind}.sign_constant"] < 0.8
    assert h["focal_stacks.u_focus_error"] == pytest.approx(0.0, abs=1e-3)
    assert h["focal_stacks.u_focus_error_median"] == pytest.approx(0.0, abs=1e-3)
    assert h["focal_stacks.abs_rel"] == pytest.approx(0.0, abs=1e-3) and h["focal_stacks.delta1"] == 1.0
    assert h["rgbd.abs_rel_constant"] > 0.1
    assert h["stereo.depth_ordinal_sharp"] == h["stereo.depth_ordinal_sharp_rotated"] == 1.0
    assert h["focal_stacks.depth_ordinal_sharp"] == 1.0 and "stereo.u_focus_error" not in h
    assert result.kinds["focal_stacks"].model.locations["b"]["frames"] == 4


def test_the_truth_detects_blur_and_has_no_error_in_metres(every_kind: Any) -> None:
    result = evaluate_model(
        every_kind.oracle,
        every_kind.root,
        None,
        only=SCENES,
        split_of=every_kind.locations,
        options=Options(pairs_per_photo=500),
    )
    h = result.headline
    for kind in SCENES:
        # the stored truth has steps: a few pixels fall on the other side of the threshold
        assert min(h[f"{kind}.blur_f"], h[f"{kind}.blur_iou"], h[f"{kind}.blur_ap"]) > 0.99
        assert h[f"{kind}.blur_mae"] < 0.005 < h[f"{kind}.blur_mae_constant"]
        assert h[f"{kind}.blur_share"] < h[f"{kind}.blur_ap_sharpness"] < 1.0
        assert h[f"{kind}.coc_mse_px2"] == pytest.approx(0.0, abs=1e-5)
        assert h[f"{kind}.sigma_mae"] == pytest.approx(0.0, abs=1e-3)
    assert h["rgbd.delta_1.05"] == h["rgbd.delta3"] == 1.0 and h["rgbd.rmse_log"] == pytest.approx(0.0, abs=1e-3)
    # a model without a confidence has no such rows
    assert not result.kinds["rgbd"].model.confidence and "rgbd.ause_coc" not in h
    assert "Stereo: blur detection" in markdown(result) and "confidence" not in {t.title for t in result_tables(result)}


def test_the_threshold_of_blur_is_in_pixels(made: Any, add_scene: AddScene) -> None:
    add_scene("focal_stacks", "s", "p", kappa=8.0)
    shares = [
        evaluate_model(
            made.oracle,
            made.root,
            None,
            only=["focal_stacks"],
            split_of=made.locations,
            options=Options(pairs_per_photo=500, blur_threshold_px=px),
        ).headline["focal_stacks.blur_share"]
        for px in (1.0, 2.0, 4.0)
    ]
    # inverse depth is spread over 0.1 to 1, focused at 0, a half and 1: CoC up to 8 px
    assert shares[0] > shares[1] > shares[2] > 0
    with pytest.raises(ValueError, match="blur_threshold_px"):
        evaluate_model(
            made.oracle,
            made.root,
            None,
            only=["focal_stacks"],
            split_of=made.locations,
            options=Options(blur_threshold_px=0.0),
        )


def test_a_confidence_from_the_errors_beats_a_constant(made: Any, add_scene: AddScene) -> None:
    add_scene("focal_stacks", "s", "p")
    add_scene("focal_stacks", "t", "q", unit="ordinal", provenance="rendered")

    def predictor(knows: bool) -> Any:
        def predict(photo: np.ndarray) -> Any:
            truth = made.oracle.predict(photo)
            noise = np.random.default_rng(len(photo.tobytes())).normal(size=photo.shape[:2]).astype(np.float32)
            return SimpleNamespace(
                inv_depth=truth.inv_depth + 0.1 * noise,
                defocus_px=np.abs(truth.signed_defocus_px) + np.abs(noise),
                signed_defocus_px=truth.signed_defocus_px,
                focus=truth.focus,
                confidence=np.exp(-np.abs(noise)) if knows else np.full_like(noise, 0.3),
            )

        return SimpleNamespace(predict=predict)

    only, locations = ["focal_stacks"], made.locations
    knowing = evaluate_model(predictor(True), made.root, None, only=only, split_of=locations)
    stacks = knowing.kinds["focal_stacks"].model
    assert stacks.macro["ause_coc"] == pytest.approx(0.0, abs=1e-6) and stacks.macro["falling_steps_coc"] == 9
    assert stacks.macro["ause_inv_depth"] < 0.5 * stacks.macro["ause_inv_depth_constant"]
    assert stacks.macro["ause_order"] < stacks.macro["ause_order_constant"]
    assert "ause_inv_depth" not in stacks.locations["q"]  # of an ordinal truth only the order is known
    curve = stacks.confidence["coc"]["macro"]
    assert len(curve.error) == 10 and curve.error == pytest.approx(curve.oracle)
    assert curve.error[0] == pytest.approx(stacks.macro["coc_mae_px"], rel=0.02)
    constant = (
        evaluate_model(predictor(False), made.root, None, only=only, split_of=locations).kinds["focal_stacks"].model
    )
    assert constant.macro["ause_coc"] == pytest.approx(constant.macro["ause_coc_constant"])
    assert np.ptp(constant.confidence["coc"]["macro"].error) < 1e-9
    tables = {table.title: table for table in result_tables(knowing)}
    assert tables["Focal stacks: confidence"].rows[-1][1:4][-1] != "-"
    assert tables["Focal stacks: error without the least confident pixels"].rows[0][0] == "CoC error, px"


def test_a_confidence_of_another_size_is_rejected(every_kind: Any) -> None:
    def predict(photo: np.ndarray) -> Any:
        maps = np.zeros(photo.shape[:2], np.float32)
        return SimpleNamespace(
            inv_depth=maps, defocus_px=maps, signed_defocus_px=maps, confidence=np.zeros((3, 4), np.float32)
        )

    model: Any = SimpleNamespace(predict=predict)
    result = evaluate_model(model, every_kind.root, None, only=["stereo"], split_of=every_kind.locations)
    assert "confidence" in result.failures[0][1] and "(3, 4)" in result.failures[0][1]


class Made:
    """A baseline that states what it is made to."""

    def __init__(self, name: str, **maps: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name = name
        ((self.quantity, self.map),) = maps.items()
        self.quantities: Any = (self.quantity,)

    def infer(self, photo: np.ndarray) -> Any:
        return estimate_from(self.quantity, self.map(photo).astype(np.float32))  # type: ignore[arg-type]


@pytest.mark.slow
def test_baselines_are_measured_by_their_quantities(every_kind: Any, tmp_path: Path) -> None:
    oracle = every_kind.oracle
    baselines = [
        Made("sigma", sigma_px=lambda photo: oracle.predict(photo).defocus_px / 4),
        Made("score", blur_score=lambda photo: oracle.predict(photo).defocus_px ** 2),
        Made("metres", depth_m=lambda photo: 1 / (oracle.predict(photo).inv_depth + 0.2)),
    ]
    result = evaluate_model(
        oracle,
        every_kind.root,
        None,
        only=SCENES,
        split_of=every_kind.locations,
        options=Options(pairs_per_photo=500),
        baselines=baselines,
    )
    assert not result.failures and result.baselines["sigma"] == ("sigma_px",)
    for kind in SCENES:
        by_name = {name: baseline.macro for name, baseline in result.kinds[kind].baselines.items()}
        assert by_name["sigma"]["coc_mae_px"] == pytest.approx(0.0, abs=1e-3)
        assert by_name["sigma"]["blur_f"] > 0.995 and by_name["sigma"]["defocus_ordinal"] == 1.0
        assert by_name["score"]["defocus_ordinal"] == 1.0 and by_name["score"]["blur_ap"] > 0.999
        assert not {"coc_mae_px", "blur_f", "depth_ordinal"} & set(by_name["score"])
        assert by_name["metres"]["depth_ordinal"] == by_name["metres"]["depth_ordinal_rotated"] == 1.0
        assert "defocus_ordinal" not in by_name["metres"]
    assert result.kinds["rgbd"].baselines["metres"].macro["abs_rel"] == pytest.approx(0.0, abs=1e-3)
    # without alignment, the shift of a fifth of a dioptre stays in it
    unaligned = evaluate_model(
        oracle,
        every_kind.root,
        None,
        only=["rgbd"],
        split_of=every_kind.locations,
        baselines=baselines,
        options=Options(alignment=AlignmentChoice("none")),
    )
    assert unaligned.kinds["rgbd"].baselines["metres"].macro["abs_rel"] > 0.1
    assert unaligned.kinds["rgbd"].model.macro["abs_rel"] == pytest.approx(0.0, abs=1e-3)  # the oracle is metric
    assert "Alignment: none." in markdown(unaligned)
    tables = {table.title: [row[:2] for row in table.rows] for table in result_tables(result)}
    own = ("model", "defocus_px, inv_depth")
    assert tables["RGB-D: defocus side by side"] == [own, ("sigma", "sigma_px"), ("score", "blur_score")]
    assert tables["RGB-D: depth side by side"] == [own, ("metres", "depth_m")]
    data = json.loads(write_evaluation(result, tmp_path)[0].read_text())
    assert data["kinds"]["rgbd"]["baselines"]["sigma"]["macro"]["defocus_ordinal"] == 1.0


def test_a_baseline_that_fails_is_reported_and_the_model_is_measured(every_kind: Any) -> None:
    broken = Made("broken", sigma_px=lambda photo: np.zeros((3, 4)))
    result = evaluate_model(
        every_kind.oracle, every_kind.root, None, only=["rgbd"], split_of=every_kind.locations, baselines=[broken]
    )
    assert result.headline["rgbd.depth_ordinal"] == 1.0 and not result.kinds["rgbd"].baselines
    assert all("broken on" in what and "(3, 4)" in why for what, why in result.failures) and result.failures
    with pytest.raises(ModelError, match="different names"):
        evaluate_model(
            every_kind.oracle, every_kind.root, None, split_of=every_kind.locations, baselines=[broken, broken]
        )


def test_noise_scores_a_half(every_kind: Any, random_answers: Any) -> None:
    result = evaluate_model(random_answers, every_kind.root, None, only=SCENES, split_of=every_kind.locations)
    for kind in SCENES:
        for measure in ("depth_ordinal", "depth_ordinal_rotated", "defocus_ordinal", "sign_accuracy"):
            assert result.headline[f"{kind}.{measure}"] == pytest.approx(0.5, abs=0.05), (kind, measure)
        assert result.headline.get(f"{kind}.focus_found", 0.0) == 0.0
    assert "focal_stacks.u_focus_error" not in result.headline
    assert result.headline["focal_stacks.u_focus_error_median"] == 1.0  # never found


def test_the_row_prior_fails_on_rotated_photos(every_kind: Any, row_answers: Any) -> None:
    h = evaluate_model(row_answers, every_kind.root, None, only=SCENES, split_of=every_kind.locations).headline
    for kind in SCENES:
        row = h[f"{kind}.vertical_position_prior"]
        assert h[f"{kind}.depth_ordinal"] == pytest.approx(row)
        assert h[f"{kind}.depth_ordinal_rotated"] == pytest.approx(1 - row)


def test_frames_without_blur_are_left_out_and_counted(made: Any, add_scene: AddScene) -> None:
    add_scene("focal_stacks", "sharp_stack", "sharp", kappa=0.2)
    add_scene("focal_stacks", "ordinal_stack", "ordinal", unit="ordinal", kappa=0.0)
    result = evaluate_model(made.oracle, made.root, None, only=["focal_stacks"], split_of=made.locations)
    stacks = result.kinds["focal_stacks"]
    assert stacks.source.photos_without_blur == {"sharp_stack": 3}
    # of a capture with ordinal depth, depth is measured and CoC is not
    assert stacks.source.photos_without_true_defocus == 3
    blurred = {name for name, measures in stacks.model.locations.items() if "depth_ordinal" in measures}
    assert blurred == {"ordinal"} and set(stacks.model.locations) == {"ordinal", "sharp"}
    assert stacks.model.macro["depth_ordinal"] == 1.0 and "defocus_ordinal" not in stacks.model.macro
    assert "3 photos without visible blur" in markdown(result) and "ordinal depth" not in markdown(result)


def test_means_are_over_frames_then_scenes_then_locations(made: Any, add_scene: AddScene) -> None:
    for name, location, frames in (("s1", "p", (0.0, 1.0)), ("s2", "p", (0.5,)), ("s3", "q", (0.2,))):
        add_scene("focal_stacks", name, location, u_focus=frames)
    evaluation = evaluate_model(made.oracle, made.root, None, only=["focal_stacks"], split_of=made.locations)
    stacks = evaluation.kinds["focal_stacks"].model
    rows = {(r.scene, r.file): r.measures for r in stacks.frames}
    measure = "vertical_position_prior"
    s1 = 0.5 * (rows["s1", "frame_0.png"][measure] + rows["s1", "frame_1.png"][measure])
    p = 0.5 * (s1 + rows["s2", "frame_0.png"][measure])
    assert stacks.locations["p"][measure] == pytest.approx(p)
    assert stacks.macro[measure] == pytest.approx(0.5 * (p + rows["s3", "frame_0.png"][measure]))
    # the CoC error is pooled over pixels: three frames of equal size, not two scenes
    constants = [m["coc_constant_mae_px"] for (scene, file), m in rows.items() if scene != "s3" and "frame" in file]
    assert stacks.locations["p"]["coc_constant_mae_px"] == pytest.approx(np.mean(constants))


def test_a_wrong_sign_lowers_the_law_but_not_the_law_with_the_true_sign(made: Any, add_scene: AddScene) -> None:
    add_scene("focal_stacks", "s", "p", u_focus=(0.0, 0.5, 1.0))
    inside_out = SimpleNamespace(
        predict=lambda photo: SimpleNamespace(
            inv_depth=(truth := made.oracle.predict(photo)).inv_depth,
            defocus_px=truth.defocus_px,
            signed_defocus_px=-truth.signed_defocus_px,
            focus=truth.focus,
        )
    )
    evaluation = evaluate_model(inside_out, made.root, None, only=["focal_stacks"], split_of=made.locations)
    macro = evaluation.kinds["focal_stacks"].model.macro
    assert macro["depth_ordinal_law"] == 0.0 and macro["sign_accuracy"] == 0.0
    assert macro["depth_ordinal_law_true_sign"] == macro["depth_ordinal"] == 1.0


def test_every_kind_whose_depth_is_measured_takes_part(made: Any, add_scene: AddScene) -> None:
    measured = [name for name, kind in KINDS.items() if kind.frames_measured > 0]
    assert {"rigs", "all_in_3d"} <= set(measured) <= set(PARTS)
    for kind in measured:
        add_scene(kind, f"scene_{kind}", f"at/{kind}", unit="1/m")
    result = evaluate_model(
        made.oracle, made.root, None, only=measured, split_of=made.locations, options=Options(pairs_per_photo=300)
    )
    assert not result.failures and all(result.headline[f"{kind}.depth_ordinal"] == 1.0 for kind in measured)


def test_a_scene_that_is_replaced_meanwhile_is_reported_once_and_left_out(made: Any, add_scene: AddScene) -> None:
    folder = add_scene("focal_stacks", "stack", "here")
    add_scene("focal_stacks", "other", "there")

    def predict(photo: np.ndarray) -> Any:
        estimate = made.oracle.predict(photo)
        (folder / "scene.json").touch()
        (folder / "scene.json").unlink(missing_ok=True)
        return estimate

    model: Any = SimpleNamespace(predict=predict)
    result = evaluate_model(model, made.root, None, only=["focal_stacks"], split_of=made.locations)
    assert [Path(what).name for what, _ in result.failures] in (["stack"], [])
    assert "there" in result.kinds["focal_stacks"].model.locations


def test_a_damaged_scene_is_reported_and_the_others_are_measured(every_kind: Any) -> None:
    (every_kind.root / "rgbd" / "desk_1" / "inv_depth.png").write_bytes(b"no png")
    (every_kind.root / "focal_stacks" / "stack_a" / "frame_1.png").unlink()
    result = evaluate_model(
        every_kind.oracle,
        every_kind.root,
        None,
        only=SCENES,
        split_of=every_kind.locations,
        options=Options(pairs_per_photo=500),
    )
    assert sorted(Path(what).name for what, _ in result.failures) == ["desk_1", "stack_a"]
    assert result.headline["stereo.depth_ordinal"] == 1.0 and not result.kinds["rgbd"].model.locations
    assert "Not measured" in [table.title for table in result_tables(result)]


def test_a_model_with_maps_of_another_size_is_rejected(every_kind: Any) -> None:
    small = np.zeros((3, 4), np.float32)
    model = SimpleNamespace(
        predict=lambda photo: SimpleNamespace(inv_depth=small, defocus_px=small, signed_defocus_px=small)
    )
    result = evaluate_model(model, every_kind.root, None, only=["stereo"], split_of=every_kind.locations)
    assert "(3, 4)" in result.failures[0][1]


def test_pairs_slope_and_speed(made: Any, add_scene: AddScene, tmp_path: Path, random_answers: Any) -> None:
    add_scene("stereo", "table", "stereo/table", u_focus=(0.5,))
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        folder = tmp_path / "data" / "pairs" / name
        folder.mkdir(parents=True)
        photo = rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(photo).save(folder / "A.png")
        Image.fromarray(np.full_like(photo, 128)).save(folder / "B.png")
    (tmp_path / "data" / "pairs" / "two" / "B.png").write_bytes(b"damaged")
    seen: list[tuple[int, int, str]] = []
    result = evaluate_model(
        random_answers,
        made.root,
        tmp_path / "data",
        only=["pairs", "coc_slope"],
        split_of=made.locations,
        speed=True,
        baselines=[
            Made("luma", blur_score=lambda photo: -photo[..., 1]),
            Made("depth", inv_depth=lambda photo: photo[..., 0]),
        ],
        on_progress=lambda *step: seen.append(step),
    )
    pairs = result.kinds["pairs"]
    assert pairs.model.macro["near_far_accuracy"] == pytest.approx(0.5, abs=0.05)
    assert result.headline["pairs.near_far_worst"] == pairs.model.macro["near_far_accuracy"]
    assert [Path(what).name for what, _ in result.failures] == ["two"]
    assert set(pairs.baselines) == {"luma"} and "blur_ap" in pairs.baselines["luma"].macro
    assert 0 < result.headline["pairs.blur_ap"] <= 1
    assert "Near/far pairs: defocus side by side" in {table.title for table in result_tables(result)}
    assert result.coc_slope is not None and not result.coc_slope.points  # 96 px are too few to be enlarged
    assert result.speed is not None and result.speed.what == "predict" and result.speed.milliseconds > 0
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] == 2 + 15  # pairs, and a scene at 3 sizes with 5 discs


def test_the_slope_of_half_the_truth_is_one_half(made: Any) -> None:
    add_sharp(made, np.random.default_rng(0).integers(0, 256, (240, 330, 3), dtype=np.uint8))
    estimates = iter((0.2, 1.0, 2.0, 4.0, 8.0))

    def predict(photo: np.ndarray) -> Any:
        maps = np.full(photo.shape[:2], next(estimates), np.float32)
        return SimpleNamespace(inv_depth=maps, defocus_px=maps, signed_defocus_px=maps)

    model: Any = SimpleNamespace(predict=predict)
    result = evaluate_model(model, made.root, None, only=["coc_slope"], split_of={"stereo/wide": "dev"}).coc_slope
    assert result is not None and result.overall.slope == pytest.approx(0.5)
    assert [(p.long_side_px, p.true_px) for p in result.points] == [(320, d) for d in (0, 2, 4, 8, 16)]
    assert [p.answer_px for p in result.points] == pytest.approx([0.2, 1, 2, 4, 8])


def add_sharp(made: Any, sharp: np.ndarray) -> None:
    """A scene of one sharp photo."""
    folder = made.root / "stereo" / "wide"
    folder.mkdir(parents=True)
    height, width = sharp.shape[:2]
    write_image(folder / "sharp.png", sharp)
    slanted = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, 0)
    write_inv_depth(folder / "inv_depth.png", slanted, "relative")
    record = SceneRecord(
        "wide", "stereo/wide", "stereo", "made by a test", "Apache-2.0", "rendered", "relative",
        [FrameRecord("sharp.png", 0.5, 0.0)], "sharp.png", "inv_depth.png",
    )  # fmt: skip
    write_scene_json(folder, record)


def test_shapes_of_blur_are_read_back_one_by_one(made: Any) -> None:
    add_sharp(made, np.random.default_rng(0).integers(0, 256, (64, 480, 3), dtype=np.uint8))
    estimates = iter(d * gain for gain in (1.0, 0.5, 2.0, 1.0) for d in SHAPE_DIAMETERS_PX)

    def predict(photo: np.ndarray) -> Any:
        maps = np.full(photo.shape[:2], next(estimates), np.float32)
        return SimpleNamespace(inv_depth=maps, defocus_px=maps, signed_defocus_px=maps)

    model: Any = SimpleNamespace(predict=predict)
    result = evaluate_model(model, made.root, None, only=["psf_shapes"], split_of={"stereo/wide": "dev"})
    assert result.psf_shapes is not None and next(estimates, None) is None
    slopes = {shape: result.headline[f"psf_shapes.slope_{shape}"] for shape in SHAPES}
    assert list(slopes.values()) == pytest.approx([1.0, 0.5, 2.0, 1.0])
    assert result.psf_shapes["gaussian"].medians_px[48.0] == 24.0
    table = result_tables(result)[-1]
    assert table.title == "CoC by the shape of the blur" and table.rows[1][-2:] == ("24.00", "0.500")


def test_speed_takes_the_network_alone_where_the_model_shows_it() -> None:
    calls: list[tuple[int, ...]] = []
    model = SimpleNamespace(predict=None, network_maps=lambda photo: calls.append(photo.shape))
    result = measure_speed(model, runs=4)  # type: ignore[arg-type]
    assert result.what == "network" and calls == [(384, 512, 3)] * 7


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(
    every_kind: Any, row_answers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mddnet.evaluate.provenance.time.gmtime", lambda: (2026, 1, 2, 3, 4, 5, 4, 2, 0))
    texts = []
    for folder in ("x", "y"):
        result = evaluate_model(
            row_answers,
            every_kind.root,
            None,
            only=SCENES,
            split_of=every_kind.locations,
            options=Options(pairs_per_photo=300),
        )
        result.seconds = 0.0
        texts.append([path.read_bytes().decode("utf-8") for path in write_evaluation(result, tmp_path / folder)])
    assert texts[0] == texts[1]
    data = json.loads(texts[0][0])
    assert data["headline"]["stereo.depth_ordinal"] == data["kinds"]["stereo"]["macro"]["depth_ordinal"]
    assert "| **macro** |" in texts[0][1]
    console = Console(record=True, width=200)
    print_tables(result, console)
    assert "Focal stacks: depth" in console.export_text()


def test_wrong_calls(every_kind: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown part 'stacks'"):
        evaluate_model(every_kind.oracle, every_kind.root, None, only=["stacks"])
    with pytest.raises(ValueError, match="data_root"):
        evaluate_model(every_kind.oracle, every_kind.root, None, only=["stereo"])
    with pytest.raises(CaptureError, match="no pair"):
        evaluate_model(every_kind.oracle, None, tmp_path, only=["pairs"])
