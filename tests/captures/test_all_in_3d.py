"""ALL-in-3D as shipped, on a copy of the layout that is made here from its description.

The maker shares no code with the reader or the renderer: depth in mm is a slope with a box, sensor positions v are
even steps, focus depths are 1 / (1/F - 1/(v + e)), and a frame is the sharp image blurred by discs of the CoC of the
paper's formula, depth by depth in linear light.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from mddnet.captures.all_in_3d import AllIn3dScene, holds_all_in_3d, list_all_in_3d
from mddnet.captures.kind import UnusableCapture
from mddnet.errors import CaptureError, ImageError, MddnetError

F_MM, E_MM, A_PX = 50.0, 24.0, 340.0
POSITIONS = 40
HEIGHT, WIDTH = 268, 320
PAD = 16


def focus_depths_mm() -> np.ndarray:
    """Of 40 positions: v + e rises from 52.6 mm (focused at about 1 m) to 54.6 mm (0.6 m)."""
    v = np.linspace(52.6, 54.6, POSITIONS) - E_MM
    return 1 / (1 / F_MM - 1 / (v + E_MM))


def depth_mm() -> np.ndarray:
    depth = np.linspace(620.0, 980.0, HEIGHT)[::-1, None] * np.ones((1, WIDTH))
    depth[90:190, 110:220] = 700.0
    return depth


def mask() -> np.ndarray:
    values = np.full((HEIGHT, WIDTH), 255, np.uint8)
    values[:12], values[:, :9] = 0, 128
    return values


def decoded(image: np.ndarray) -> np.ndarray:
    x = image / 255.0
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def encoded(linear: np.ndarray) -> np.ndarray:
    x = np.clip(linear, 0, 1)
    return np.rint(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)


def sharp_image() -> np.ndarray:
    rng = np.random.default_rng(3)
    image = np.zeros((HEIGHT, WIDTH, 3))
    for cell, gain in ((4, 0.5), (7, 0.3), (16, 0.2)):
        coarse = rng.random((HEIGHT // cell + 1, WIDTH // cell + 1, 3))
        image += gain * np.kron(coarse, np.ones((cell, cell, 1)))[:HEIGHT, :WIDTH]
    return np.rint(20 + 200 * image).astype(np.uint8)


def blurred_by_disc(linear: np.ndarray, diameter: float) -> np.ndarray:
    """Convolution with an ideal disc, by its Fourier transform: the cosine integral over the lengths of its chords."""
    if diameter == 0:
        return linear
    x = (np.arange(400) + 0.5) / 400 * diameter - diameter / 2
    chord = np.sqrt((diameter / 2) ** 2 - x**2)
    rho = np.linspace(0, 0.75, 300)
    transform = np.cos(2 * np.pi * rho[:, None] * x) @ chord / chord.sum()
    padded = np.pad(linear, [(PAD, PAD), (PAD, PAD), (0, 0)], mode="reflect")
    rows, columns = padded.shape[:2]
    at = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.interp(at, rho, transform)[..., None]
    return np.fft.irfft2(spectrum, (rows, columns), axes=(0, 1))[PAD:-PAD, PAD:-PAD]


def coc_px(focus_mm: float, depth: np.ndarray) -> np.ndarray:
    """The formula of the paper, in its own units."""
    return A_PX / 1000 * np.abs(depth - focus_mm) / depth * F_MM / (focus_mm - F_MM) * 1000


def focused_image(sharp: np.ndarray, depth: np.ndarray, focus_mm: float) -> np.ndarray:
    coc = np.rint(coc_px(focus_mm, depth) * 2) / 2
    linear, out = decoded(sharp), np.zeros(sharp.shape)
    for value in np.unique(coc):
        out[coc == value] = blurred_by_disc(linear, value)[coc == value]
    return encoded(out)


def magnified(image: np.ndarray, scale: float) -> np.ndarray:
    size = (image.shape[1], image.shape[0])
    cx, cy = size[0] / 2, size[1] / 2
    affine = (1 / scale, 0, cx - cx / scale, 0, 1 / scale, cy - cy / scale)
    return np.asarray(Image.fromarray(image).transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def frames() -> dict[int, np.ndarray]:
    """Position -> focused frame, of every tenth position."""
    sharp, depth, focus = sharp_image(), depth_mm(), focus_depths_mm()
    return {n: focused_image(sharp, depth, float(focus[n - 1])) for n in range(1, POSITIONS + 1, 10)}


def write_shipped(root: Path, frames: dict[int, np.ndarray], name: str = "1") -> Path:
    for folder in ("all_in_focus", f"depth/{name}", f"fd/{name}", f"focus_small/{name}"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(root / f"all_in_focus/{name}.tif", sharp_image())
    np.save(root / f"depth/{name}/depth.npy", depth_mm())
    np.save(root / f"depth/{name}/mask.npy", mask())
    np.save(root / f"fd/{name}/fd.npy", focus_depths_mm())
    for position, image in frames.items():
        tifffile.imwrite(root / f"focus_small/{name}/foca{position}.tif", image)
    tifffile.imwrite(root / f"focus_small/{name}/simu1.tif", np.zeros_like(frames[1]))
    (root / f"focus_small/{name}/notes.txt").write_text("not a frame")
    return root


def write_per_scene(root: Path, frames: dict[int, np.ndarray], name: str = "1") -> Path:
    for folder in ("AIF", "depth", "focus"):
        (root / name / folder).mkdir(parents=True)
    tifffile.imwrite(root / name / "AIF/AIF.tif", sharp_image())
    np.save(root / name / "depth/depth.npy", depth_mm())
    np.save(root / name / "depth/mask.npy", mask())
    np.save(root / name / "focus/fd.npy", focus_depths_mm())
    for position, image in frames.items():
        tifffile.imwrite(root / name / f"focus/foca{position}.tif", image)
    return root


def only(root: Path) -> AllIn3dScene:
    (scene,) = list_all_in_3d(root)
    assert isinstance(scene, AllIn3dScene)
    return scene


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("pack", [write_shipped, write_per_scene])
def test_both_layouts_are_read(tmp_path: Path, frames: dict[int, np.ndarray], pack: Any) -> None:
    scene = only(pack(tmp_path, frames))
    assert holds_all_in_3d(tmp_path)
    assert (scene.name, scene.location) == ("1", "all_in_3d/1")
    assert list(scene.frames) == [1, 11, 21, 31]
    np.testing.assert_array_equal(scene.read_rgb(), sharp_image())
    np.testing.assert_array_equal(scene.read_frame(2, scene.read_rgb().shape), frames[21])
    depth = scene.read_depth_m((HEIGHT, WIDTH, 3))
    assert np.isnan(depth[:12]).all() and np.isnan(depth[:, :9]).all()
    np.testing.assert_allclose(depth[12:, 9:], depth_mm()[12:, 9:] / 1000, rtol=1e-6)
    np.testing.assert_allclose(scene.read_focus_z_m(), focus_depths_mm()[[0, 10, 20, 30]] / 1000, rtol=1e-12)


def test_focus_depth_with_and_without_a_change_of_offset(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    """v + e = 52.5 mm and F = 50 mm focus at 1050 mm; e larger by 2.5 mm, at 1 / (1/50 - 1/55) = 550 mm."""
    write_shipped(tmp_path, frames)
    np.save(tmp_path / "fd/1/fd.npy", np.full(POSITIONS, 1050.0))
    np.testing.assert_allclose(only(tmp_path).read_focus_z_m(), 1.05)
    (tmp_path / "all_in_3d.json").write_text('{"offset_change_mm": 2.5}')
    np.testing.assert_allclose(only(tmp_path).read_focus_z_m(), 0.55)
    (tmp_path / "all_in_3d.json").write_text('{"offset_change_mm": -2.5}')
    with pytest.raises(CaptureError, match="beyond infinity"):
        only(tmp_path).read_focus_z_m()


def test_focus_depths_of_the_kept_frames_only(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    write_shipped(tmp_path, frames)
    kept = focus_depths_mm()[[0, 10, 20, 30]]
    np.save(tmp_path / "fd/1/fd.npy", kept[:, None])
    np.testing.assert_allclose(only(tmp_path).read_focus_z_m(), kept / 1000)
    np.save(tmp_path / "fd/1/fd.npy", kept[:3])
    with pytest.raises(CaptureError, match=r"3 focus depths .*4 frames .*31"):
        only(tmp_path).read_focus_z_m()


def test_grey_and_16_bit_images_and_the_full_size(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    write_shipped(tmp_path, frames)
    grey = np.random.default_rng(0).integers(0, 256, (2056, 2452), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "all_in_focus/1.tif", grey)
    sharp = only(tmp_path).read_rgb()
    assert sharp.shape == (2056, 2452, 3) and (sharp == grey[..., None]).all()
    tifffile.imwrite(tmp_path / "all_in_focus/1.tif", sharp_image().astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(only(tmp_path).read_rgb(), sharp_image())


def test_scenes_are_listed_by_number(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    for name in ("10", "2", "1"):
        write_shipped(tmp_path, frames, name)
    assert [scene.name for scene in list_all_in_3d(tmp_path)] == ["1", "2", "10"]


def test_the_facts_file_is_read(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    write_shipped(tmp_path, frames)
    assert only(tmp_path).licence == "none stated" and "arXiv:2208.09848" in only(tmp_path).source
    (tmp_path / "all_in_3d.json").write_text('{"licence": "CC-BY-4.0", "aperture_px": 340, "focal_mm": 49.5}')
    scene = only(tmp_path)
    assert (scene.licence, scene.aperture_px, scene.focal_mm) == ("CC-BY-4.0", 340.0, 49.5)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"aperture_px": -1}', '{"aperture_px": "340"}', '{"aperture": 340}', '{"focal_mm": true}']
)
def test_a_wrong_facts_file_is_refused(tmp_path: Path, frames: dict[int, np.ndarray], content: str) -> None:
    write_shipped(tmp_path, frames)
    (tmp_path / "all_in_3d.json").write_text(content)
    with pytest.raises(CaptureError, match=r"all_in_3d\.json"):
        list_all_in_3d(tmp_path)


# --- bad captures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["all_in_focus/2.tif", "depth/2/depth.npy", "depth/2/mask.npy", "fd/2/fd.npy"])
def test_a_missing_part_is_reported_and_other_scenes_are_listed(
    tmp_path: Path, frames: dict[int, np.ndarray], part: str
) -> None:
    write_shipped(tmp_path, frames)
    write_shipped(tmp_path, frames, "2")
    (tmp_path / part).unlink()
    scene, unusable = list_all_in_3d(tmp_path)
    assert isinstance(scene, AllIn3dScene) and scene.name == "1"
    assert isinstance(unusable, UnusableCapture) and unusable.name == "2" and part in unusable.reason


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["foca1.tif", "foca01.tif", "foca2.tif"], "same position 1 as"),
        (["foca0.tif", "foca1.tif", "foca2.tif"], "does not end in a position number"),
        (["focal.tif", "foca1.tif", "foca2.tif"], "does not end in a position number"),
        (["foca1.tif", "foca2.tif", "simu3.tif"], "2 focused frame"),
    ],
)
def test_frames_that_cannot_be_numbered(
    tmp_path: Path, frames: dict[int, np.ndarray], names: list[str], reason: str
) -> None:
    write_shipped(tmp_path, frames)
    for path in (tmp_path / "focus_small/1").iterdir():
        path.unlink()
    for name in names:
        (tmp_path / "focus_small/1" / name).write_bytes(b"")
    (unusable,) = list_all_in_3d(tmp_path)
    assert isinstance(unusable, UnusableCapture)
    assert reason in unusable.reason


def read_all(root: Path) -> None:
    scene = only(root)
    shape = scene.read_rgb().shape
    scene.read_depth_m(shape)
    scene.read_focus_z_m()
    for index in range(len(scene.frames)):
        scene.read_frame(index, shape)


BAD_ARRAYS: list[tuple[str, Any, str]] = [
    ("depth/1/depth.npy", depth_mm() / 1000, "expected millimetres"),
    ("depth/1/depth.npy", np.full((HEIGHT, WIDTH), np.nan), "expected millimetres"),
    ("depth/1/depth.npy", depth_mm().T, "expected (268, 320)"),
    ("depth/1/mask.npy", np.ones((HEIGHT, WIDTH), np.uint8), "values 1 to 1, none is 255"),
    ("depth/1/mask.npy", np.zeros((5, 5)), "expected (268, 320)"),
    ("fd/1/fd.npy", focus_depths_mm() / 1000, "expected millimetres"),
    ("fd/1/fd.npy", np.where(np.arange(POSITIONS) == 10, np.nan, 700.0), "foca11.tif"),
    ("fd/1/fd.npy", np.array(["far"] * POSITIONS), "plain numbers"),
    ("fd/1/fd.npy", np.zeros(0), "plain numbers"),
]


@pytest.mark.parametrize(("part", "array", "reason"), BAD_ARRAYS)
def test_a_wrong_array_is_refused_by_name(
    tmp_path: Path, frames: dict[int, np.ndarray], part: str, array: np.ndarray, reason: str
) -> None:
    write_shipped(tmp_path, frames)
    np.save(tmp_path / part, array)
    with pytest.raises(CaptureError) as caught:
        read_all(tmp_path)
    assert part in str(caught.value).replace("\\", "/") and reason in str(caught.value)


class Trap:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("sprung"),))


def test_pickles_are_never_read(tmp_path: Path, frames: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda path: np.save(path, np.array([Trap()], dtype=object), allow_pickle=True),
        lambda path: path.write_bytes(pickle.dumps(Trap())),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
    ):
        write_shipped(tmp_path, frames)
        write(tmp_path / "fd/1/fd.npy")
        with pytest.raises(CaptureError, match=r"fd\.npy"):
            read_all(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_an_array_that_claims_more_than_its_file_holds_is_refused(
    tmp_path: Path, frames: dict[int, np.ndarray]
) -> None:
    write_shipped(tmp_path, frames)
    path = tmp_path / "depth/1/depth.npy"
    path.write_bytes(
        path.read_bytes().replace(b"(268, 320)", b"(268, 10**9)"[:10]).replace(b"(268, 10**", b"(999999,1)")
    )
    with pytest.raises(CaptureError, match=r"depth\.npy"):
        read_all(tmp_path)


def test_damaged_and_mixed_images_are_refused(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    write_shipped(tmp_path, frames)
    path = tmp_path / "focus_small/1/foca11.tif"
    tifffile.imwrite(path, frames[11][:200])
    with pytest.raises(CaptureError, match=r"foca11\.tif: 320 x 200 .*320 x 268"):
        read_all(tmp_path)
    path.write_bytes(b"II*\0 nothing")
    with pytest.raises(ImageError, match=r"foca11\.tif"):
        read_all(tmp_path)


# --- scenes of ours ---------------------------------------------------------------------------------------------------


def build(root: Path, out: Path) -> Any:
    pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")
    pytest.importorskip("joblib", reason="building needs joblib (extra build)")
    from mddnet.scenes.build import build_scenes
    from mddnet.scenes.plan import plan_build

    return list(build_scenes(plan_build([root]), out))


def check_scene(folder: Path, a_px: float, within: float, at: slice = slice(None)) -> Any:
    """The stored law gives the paper's defocus map within a share of it."""
    from mddnet.scenes.store import read_inv_depth, read_scene

    record = read_scene(folder)
    u = read_inv_depth(folder / record.inv_depth).astype(np.float64)
    for frame, position in zip(record.frames, (1, 11, 21, 31), strict=True):
        mine = frame.kappa_px * np.abs(frame.u_focus - u)
        theirs = a_px / A_PX * coc_px(float(focus_depths_mm()[position - 1]), 1000 / u)
        known = np.isfinite(u)
        assert np.abs(mine - theirs)[known].max() <= within * theirs[known].max()
    return record


def test_a_scene_with_a_given_aperture(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    write_shipped(tmp_path / "data", frames)
    (tmp_path / "data/all_in_3d.json").write_text(json.dumps({"aperture_px": A_PX, "licence": "test"}))
    (row,) = build(tmp_path / "data", tmp_path / "out")
    assert (row.state, row.kind, row.location) == ("built", "all_in_3d", "all_in_3d/1"), row.reason
    folder = tmp_path / "out/all_in_3d/all_in_3d_1"
    record = check_scene(folder, A_PX, 0.002)
    assert record.unit == "1/m" and record.provenance == "real" and record.licence == "test"
    assert [frame.file for frame in record.frames] == [f"frame_{n:03d}.jpg" for n in (1, 11, 21, 31)]
    assert record.measures["rerender_error_fraction"] < 0.5
    assert record.measures["breathing_undone"] == 0 and record.measures["aperture_px_fitted"] == 0
    (again,) = build(tmp_path / "data", tmp_path / "out")
    assert again.state == "kept"
    (tmp_path / "data/all_in_3d.json").write_text(json.dumps({"aperture_px": A_PX + 1, "licence": "test"}))
    (again,) = build(tmp_path / "data", tmp_path / "out")
    assert again.state == "built"


def test_the_aperture_is_fitted(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    (row,) = build(write_per_scene(tmp_path / "data", frames), tmp_path / "out")
    assert row.state == "built", row.reason
    assert row.record.measures["aperture_px"] == pytest.approx(A_PX, rel=0.05)
    check_scene(tmp_path / "out/all_in_3d/all_in_3d_1", row.record.measures["aperture_px"], 0.002)


def test_breathing_is_detected_and_removed(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    """Frames magnified by v / v_ref with v_ref of position 16: kappa is A v_ref for all, and the images are cropped."""
    v = 1 / (1 / F_MM - 1 / focus_depths_mm())
    breathing = {n: magnified(image, float(v[n - 1] / v[15])) for n, image in frames.items()}
    (row,) = build(write_shipped(tmp_path / "data", breathing), tmp_path / "out")
    assert row.state == "built", row.reason
    assert row.record.measures["breathing_undone"] == 1
    kappas = [frame.kappa_px for frame in row.record.frames]
    assert max(kappas) == pytest.approx(min(kappas))
    assert kappas[0] == pytest.approx(A_PX * v[15] / 1000, rel=0.06)
    with Image.open(tmp_path / "out/all_in_3d/all_in_3d_1/sharp.jpg") as image:
        assert WIDTH * 0.96 < image.width < WIDTH


def test_frames_that_contradict_the_depth_are_rejected(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    backwards = dict(zip(frames, list(frames.values())[::-1], strict=True))
    (row,) = build(write_shipped(tmp_path / "data", backwards), tmp_path / "out")
    assert row.state == "rejected" and "uniform blur per frame" in row.reason


def test_bad_scenes_are_reported_and_others_built(tmp_path: Path, frames: dict[int, np.ndarray]) -> None:
    data = write_shipped(tmp_path / "data", frames)
    for name in ("2", "3"):
        write_shipped(data, frames, name)
    (data / "fd/2/fd.npy").unlink()
    np.save(data / "depth/3/depth.npy", depth_mm() / 1000)
    rows = {row.name: row for row in build(data, tmp_path / "out")}
    assert {name: row.state for name, row in rows.items()} == {
        "2": "failed",
        "all_in_3d_1": "built",
        "all_in_3d_3": "failed",
    }
    assert "fd.npy" in rows["2"].reason and "millimetres" in rows["all_in_3d_3"].reason
    assert not isinstance(rows["2"].reason, MddnetError)


def test_few_evenly_spaced_frames_of_a_long_stack_are_used() -> None:
    pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")
    from mddnet.scenes.all_in_3d_scene import FEW_FRAMES, evenly_spaced

    assert evenly_spaced(7).tolist() == list(range(7)) and len(evenly_spaced(FEW_FRAMES)) == FEW_FRAMES
    few = evenly_spaced(200)
    assert len(few) == FEW_FRAMES and few[0] == 0 and few[-1] == 199 and set(np.diff(few)) == {5, 6}
