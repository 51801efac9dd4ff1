"""From files of a focal stack to depth and an all-in-focus image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("scipy", reason="stacks need SciPy (extra build)")
pytest.importorskip("cv2", reason="stacks need OpenCV (extra build)")

from tests.support.made_focal_stack import MadeStack, made_stack, textured

import mddnet
from mddnet.cli.main import main
from mddnet.errors import MddnetError, OutputError
from mddnet.focus_stack import stack
from mddnet.focus_stack.result import StackResult
from mddnet.optics import focus_z_from_sensor_plane_m
from mddnet.predict.folder import find_photos
from mddnet.types import UInt8Array

FRAMES, STEP_PX = 9, 1.2
DATA = Path(__file__).parents[3] / "shared" / "data" / "captures" / "focal_stacks"


@pytest.fixture(scope="module")
def made() -> MadeStack:
    return made_stack(STEP_PX * np.arange(FRAMES))


def written(
    folder: Path, frames: Sequence[UInt8Array], names: Sequence[str] | None = None, **tags: Sequence[float]
) -> Path:
    """Frames as PNG files with EXIF: ``focus_m`` per frame."""
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        exif = Image.Exif()
        if "focus_m" in tags:
            exif[0x8769] = {0x9206: tags["focus_m"][i], 0x920A: 50.0}
        name = f"shot_{i}.png" if names is None else names[i]
        Image.fromarray(frame).save(folder / name, exif=exif)
    return folder


@pytest.fixture(scope="module")
def shots(made: MadeStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("made") / "shots", made.frames)


@pytest.fixture(scope="module")
def result(shots: Path) -> StackResult:
    return stack(shots, order="near-to-far")


def cropped(image: np.ndarray, result: StackResult) -> np.ndarray:
    (top, left), (height, width) = result.origin_px, result.size
    return image[top : top + height, left : left + width]


def test_depth_and_sharp_image_are_those_of_the_truth(made: MadeStack, result: StackResult) -> None:
    assert result.unit == "relative" and result.names[0] == "shot_0.png" and len(result.names) == FRAMES
    index = (1 - result.inv_depth) * (FRAMES - 1)
    inner = np.abs(index - cropped(made.index, result))[8:-8, 8:44]
    assert np.median(inner) < 0.25
    difference = np.abs(result.all_in_focus.astype(float) - cropped(made.sharp, result))
    blurred = np.abs(made.frames[0].astype(float) - made.sharp).mean()
    assert difference.mean() < 0.4 * blurred
    assert np.isfinite(result.inv_depth).all() and result.confidence.min() >= 0 and result.confidence.max() <= 1


def test_signed_defocus_of_every_frame(made: MadeStack, result: StackResult) -> None:
    for i in (0, 4, 8):
        true = STEP_PX * (cropped(made.index, result) - i)  # positive behind the plane of focus
        assert np.median(np.abs(result.signed_defocus_px(i) - true)) < 0.6
    single = result.prediction(0)
    assert single.focus.found and single.focus.u_focus == result.u_focus[0]
    np.testing.assert_allclose(single.signed_defocus_px, result.signed_defocus_px(0), atol=1e-5)
    assert result.prediction().defocus_px.max() == 0


def test_the_stated_direction_turns_depth_over(shots: Path, result: StackResult) -> None:
    opposite = stack(shots, order="far-to-near")
    assert opposite.names == result.names[::-1]
    height, width = (min(sizes) for sizes in zip(opposite.size, result.size, strict=True))
    both = [one.inv_depth[10 : height - 10, 10 : width - 10].ravel() for one in (opposite, result)]
    assert np.corrcoef(*both)[0, 1] < -0.9


def test_focus_distances_of_exif_give_order_and_metres(made: MadeStack, tmp_path: Path) -> None:
    dioptres = np.linspace(2.0, 0.4, FRAMES)
    focus_m = 1 / dioptres + 0.0525
    mixed = [4, 0, 7, 2, 8, 1, 6, 3, 5]
    shots = written(tmp_path / "shots", [made.frames[i] for i in mixed], focus_m=[float(focus_m[i]) for i in mixed])
    result = stack(shots)
    assert [int(name[5]) for name in result.names] == [mixed.index(i) for i in range(FRAMES)]
    assert result.unit == "1/m" and result.depth_m is not None
    true_u = np.interp(cropped(made.index, result), np.arange(FRAMES), dioptres)
    assert np.median(np.abs(result.depth_m * true_u - 1)[8:-8]) < 0.08
    assert result.u_focus[0] == pytest.approx(1 / focus_z_from_sensor_plane_m(float(focus_m[0]), 50.0))
    assert result.kappa_px == pytest.approx(STEP_PX * (FRAMES - 1) / 1.6, rel=0.15)


def test_focus_distances_of_the_caller_are_in_the_order_of_the_paths(made: MadeStack, tmp_path: Path) -> None:
    mixed = [3, 8, 0, 5, 1, 7, 2, 6, 4]
    shots = written(tmp_path / "shots", [made.frames[i] for i in mixed])
    paths = [shots / f"shot_{k}.png" for k in range(FRAMES)]
    result = stack(paths, focus_m=[0.5 + 0.1 * i for i in mixed])
    assert [mixed[int(name[5])] for name in result.names] == list(range(FRAMES))
    assert result.unit == "1/m"
    with pytest.raises(MddnetError, match=r"2 focus distances .* 9 "):
        stack(paths, focus_m=[1.0, 2.0])


def test_shuffled_frames_are_put_in_order(made: MadeStack, tmp_path: Path) -> None:
    mixed = [4, 0, 7, 2, 8, 1, 6, 3, 5]
    result = stack(written(tmp_path / "shots", [made.frames[i] for i in mixed]))
    found = [mixed[int(name[5])] for name in result.names]
    assert found in (list(range(FRAMES)), list(range(FRAMES))[::-1])
    assert any("order of the frames was found" in note for note in result.notes)


def test_bad_frames_are_named_and_left_out(made: MadeStack, tmp_path: Path) -> None:
    shots = written(tmp_path / "shots", made.frames)
    (shots / "shot_3.png").write_bytes((shots / "shot_3.png").read_bytes()[:3000])
    Image.fromarray(made.frames[5][:, :100]).save(shots / "shot_5.png")
    Image.fromarray(textured(120, 160, seed=9)).save(shots / "shot_95.png")
    Image.fromarray(made.frames[6]).resize((320, 240)).save(shots / "shot_6.png")
    result = stack(shots, order="near-to-far")
    reasons = {frame.name: frame.reason for frame in result.left_out}
    assert set(reasons) == {"shot_3.png", "shot_5.png", "shot_95.png"}
    assert "100 x 120" in reasons["shot_5.png"] and "does not align" in reasons["shot_95.png"]
    assert len(result.names) == 7
    text = " ".join(result.notes)
    assert all(name in text for name in reasons) and "shot_6.png was resized from 320 x 240" in text


def test_what_is_no_stack_is_refused(made: MadeStack, tmp_path: Path) -> None:
    one = written(tmp_path / "one", made.frames[:1])
    with pytest.raises(MddnetError, match="1 usable frame"):
        stack(one)
    two = written(tmp_path / "two", [*made.frames[:3], *(textured(120, 160, seed=k) for k in (5, 6, 7))])
    with pytest.raises(MddnetError, match=r"shot_\d\.png and shot_\d\.png .*one scene"):
        stack(two, order="near-to-far")
    wide = textured(120, 480, seed=3)
    moved = written(tmp_path / "moved", [wide[:, x : x + 160] for x in (0, 45, 90, 135)])
    with pytest.raises(MddnetError, match="tripod"):
        stack(moved, order="near-to-far")
    with pytest.raises(MddnetError, match="nowhere"):
        stack(tmp_path / "nowhere" / "a.png")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(MddnetError, match="a video among"):
        stack([one / "shot_0.png", tmp_path / "clip.mp4"])
    with pytest.raises(OutputError, match="missing"):
        stack(one.parent / "two", scratch=tmp_path / "missing")


def test_files_are_those_of_predict_and_replace_each_other(result: StackResult, tmp_path: Path) -> None:
    files = result.save(tmp_path, "cup")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files.values()}
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "cup.inv_depth.tiff"), result.inv_depth)
    signed = tifffile.imread(tmp_path / "cup.04.signed_defocus_px.tiff")
    assert signed.dtype == np.float32
    np.testing.assert_array_equal(signed, result.signed_defocus_px(4))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "cup.all_in_focus.png")), result.all_in_focus)
    facts = json.loads((tmp_path / "cup.json").read_text())
    assert facts["complete"] and facts["unit"] == "relative" and len(facts["frames"]) == FRAMES
    assert facts["frames"][4] == {
        "name": "shot_4.png",
        "u_focus": result.u_focus[4],
        "signed_defocus_px": "04.signed_defocus_px",
    }
    assert facts["files"]["04.signed_defocus_px"] == "cup.04.signed_defocus_px.tiff"
    assert (tmp_path / "cup.points.ply").read_bytes().startswith(b"ply")
    # results are no photos
    assert find_photos([str(tmp_path)])[0] == []
    result.save(tmp_path, "cup", "png", defocus=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f"cup.{end}" for end in ("all_in_focus.png", "confidence.png", "inv_depth.png", "json", "preview.png")
    }
    with pytest.raises(MddnetError, match="plain file name"):
        result.save(tmp_path, "../cup")


def test_frames_of_a_video(made: MadeStack, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra formats")
    path = tmp_path / "sweep.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for frame in made.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    result = stack(path, order="near-to-far")
    assert result.names[0] == "sweep.mp4, frame 0" and len(result.names) == FRAMES
    index = (1 - result.inv_depth) * (FRAMES - 1)
    assert np.median(np.abs(index - cropped(made.index, result))) < 0.5


def test_nothing_is_left_behind_by_ctrl_c(shots: Path, tmp_path: Path) -> None:
    def interrupt(name: str, done: int, count: int) -> None:
        if name == "align":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack(shots, scratch=tmp_path, step=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_command_fuses_two_photos(made: MadeStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shots = written(tmp_path / "shots", [made.frames[1], made.frames[7]], ["near.png", "far.png"])
    flags = ["-o", str(tmp_path / "out"), "--focus-m", "0.5,2"]
    assert main(["fuse", str(shots / "near.png"), str(shots / "far.png"), *flags]) == 0
    assert "inverse depth [1/m]" in capsys.readouterr().out
    depth = tifffile.imread(tmp_path / "out" / "near_far.depth_m.tiff")
    assert np.median(depth[10:-10, 5:40]) < 0.8 < 1.2 < np.median(depth[10:-10, -40:-5])
    sharp = np.asarray(Image.open(tmp_path / "out" / "near_far.all_in_focus.png")).astype(float)
    facts = json.loads((tmp_path / "out" / "near_far.json").read_text())
    top, left = facts["origin_px"]
    true = made.sharp[top : top + sharp.shape[0], left : left + sharp.shape[1]]
    for part in (slice(8, 44), slice(-44, -8)):
        assert np.abs(sharp - true)[:, part].mean() < 6
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_the_command_states_what_it_left_out(
    made: MadeStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shots = written(tmp_path / "shots", made.frames)
    (shots / "shot_2.png").write_bytes(b"not an image")
    assert (
        main(["stack", str(shots), "-o", str(tmp_path / "out"), "--order", "near-to-far", "--json", "--no-defocus"])
        == 1
    )
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["facts"] == "shots.json" and [frame["name"] for frame in facts["left_out"]] == ["shot_2.png"]
    assert "shot_2.png: left out" in printed.err
    assert main(["stack", str(shots / "shot_0.png"), "-o", str(tmp_path / "out")]) == 1
    assert "1 usable frame" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [["--focus-m", "near"], ["--focus-m", "0,1"], ["--formats", "mask"], ["--formats", "gif"], ["--name", "a/b"],
     ["--order", "both"], ["--pixel-um", "5", "--camera", "NIKON D90"], ["--threads", "0"]],
)  # fmt: skip
def test_wrong_usage_is_2(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "a.jpg", "b.jpg", "-o", str(tmp_path / "out"), *flags]) == 2
    assert capsys.readouterr().err and not (tmp_path / "out").exists()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "--help"]) == 0
    assert "mddnet stack shots/*.jpg -o out" in capsys.readouterr().out


def test_the_call_is_public() -> None:
    assert mddnet.stack is stack and mddnet.StackResult is StackResult


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dslr_laptop", "handheld_leaves", "phone_cocoa"])
def test_order_and_direction_of_real_stacks(name: str, tmp_path: Path) -> None:
    if not (DATA / name).is_dir():
        pytest.skip("needs the real captures")
    files = sorted((DATA / name).glob("frame_*.jpg"))
    order = np.random.default_rng(1).permutation(len(files))
    for k, i in enumerate(order):
        (tmp_path / f"{k:02d}.jpg").write_bytes(files[i].read_bytes())
    result = stack(tmp_path)
    assert [int(order[int(name[:2])]) for name in result.names] == list(range(len(files)))  # near to far in the capture
    assert not result.left_out and result.measures["common_share"] > 0.6
