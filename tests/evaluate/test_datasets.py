"""Importers of public sets, each on a miniature in the layout that its docstring cites, written without our readers."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.stereo_agreement import agreement

from mddnet.captures.stereo import list_stereo
from mddnet.errors import CaptureError, MddnetError
from mddnet.evaluate.datasets import DATASETS, find_dataset
from mddnet.evaluate.datasets.files import natural_order, read_pfm
from mddnet.evaluate.datasets.middlebury import read_calibration
from mddnet.evaluate.datasets.record import Crop, Dataset, Item, Protocol, read_item
from mddnet.metrics import Truth

H, W = 32, 40
DOCS = Path(__file__).parents[2] / "docs" / "public-sets.md"


def photo(seed: int = 0, height: int = H, width: int = W) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_pfm(path: Path, values: np.ndarray, little: bool = True) -> None:
    """As the Netpbm page says: header of three lines, rows from the bottom, a negative scale for little-endian."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape
    rows = b"".join(struct.pack(f"{'<' if little else '>'}{width}f", *row) for row in values[::-1].tolist())
    path.write_bytes(f"Pf\n{width} {height}\n{'-1.0' if little else '1.0'}\n".encode() + rows)


def only(name: str, root: Path, which: int = 0, protocol: Protocol | None = None) -> Truth:
    dataset = DATASETS[name]
    listing = dataset.items(root)
    assert not listing.failures
    return read_item(dataset, listing.items[which], protocol or dataset.protocol)


# --- what holds for all -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda s: s.name)
def test_a_missing_folder_is_an_error_with_the_expected_layout(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CaptureError) as gone:
        dataset.items(tmp_path / "nowhere")
    assert dataset.expects in str(gone.value) and dataset.obtain in str(gone.value)
    # an empty folder, too
    with pytest.raises(CaptureError) as empty:
        dataset.items(tmp_path)
    assert dataset.obtain in str(empty.value) and str(tmp_path) in str(empty.value)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda s: s.name)
def test_every_set_is_described_in_the_docs(dataset: Dataset) -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert f"`{dataset.name}`" in page
    assert ("Unverified: " in dataset.origin()) == bool(dataset.unverified)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(CaptureError, match=r"nyu-pgn: .*nyu-png\?"):
        find_dataset("nyu-pgn")
    assert find_dataset("syndof").name == "syndof"


def test_crop_cap_and_mask_are_applied_and_an_empty_result_is_an_error() -> None:
    inv_depth = np.full((4, 6), 0.5, np.float32)
    inv_depth[:, 3:] = 0.05  # 20 m
    made = Truth(photo(0, 4, 6), inv_depth, "1/m", defocus_px=np.ones((4, 6), np.float32))
    dataset = DATASETS["nyu-png"]
    listed = _item_of(made)
    read = read_item(dataset, listed, Protocol("m", Crop(0, 2, 0, 6, 4, 6, "a test"), (0.1, 10.0)))
    assert np.isfinite(read.inv_depth).sum() == 6 and np.isfinite(read.defocus_px).sum() == 12  # type: ignore[arg-type]
    with pytest.raises(CaptureError, match=r"made: inv_depth .*no known pixel"):
        read_item(dataset, listed, Protocol("m", None, (0.1, 1.0)))
    with pytest.raises(CaptureError, match=r"6 x 4 .*640 x 480.*--crop none"):
        read_item(dataset, listed, dataset.protocol)
    smaller = Truth(made.photo, inv_depth[:2], "1/m")
    with pytest.raises(CaptureError, match=r"inv_depth .*6 x 2 .*6 x 4"):
        read_item(dataset, _item_of(smaller), Protocol("m"))


def _item_of(made: Truth) -> Item:
    return Item("made", "group", lambda: made)


def test_pfm_both_ways_round_and_damaged(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for little in (True, False):
        write_pfm(tmp_path / "a.pfm", values, little)
        np.testing.assert_array_equal(read_pfm(tmp_path / "a.pfm"), values)
    whole = (tmp_path / "a.pfm").read_bytes()
    for damaged in (whole[:-1], b"PF" + whole[2:], b"Pf\nx y\n1\n", b""):
        (tmp_path / "b.pfm").write_bytes(damaged)
        with pytest.raises(CaptureError, match=r"b\.pfm"):
            read_pfm(tmp_path / "b.pfm")


def test_numbers_in_names_sort_as_numbers() -> None:
    names = ["image_10.jpg", "image_9.jpg", "image_1.jpg", "other.jpg"]
    assert [p.name for p in sorted(map(Path, names), key=natural_order)] == [names[2], names[1], names[0], names[3]]


# --- depth ------------------------------------------------------------------------------------------------------------


def test_nyu_labeled_mat(tmp_path: Path) -> None:
    h5py, scipy_io = pytest.importorskip("h5py"), pytest.importorskip("scipy.io")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 3, 640, 480), dtype=np.uint8)
    raw = np.zeros((3, 640, 480), np.float32)
    raw[:, 300, 200] = (2.0, 4.0, 12.0)  # column 300, row 200
    raw[:, 301, 200] = 5.0
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"], file["rawDepths"], file["depths"] = images, raw, raw + 1
        texts = [
            file.create_dataset(f"t{k}", data=[[ord(c)] for c in t]) for k, t in enumerate(("kitchen", "bath", "x"))
        ]
        references = file.create_dataset("sceneTypes", (1, 3), dtype=h5py.ref_dtype)
        for k, dataset in enumerate(texts):
            references[0, k] = dataset.ref
    scipy_io.savemat(tmp_path / "splits.mat", {"testNdxs": [[2], [3]], "trainNdxs": [[1]]})
    dataset = DATASETS["nyu-mat"]
    listing = dataset.items(tmp_path)
    assert [(item.name, item.group) for item in listing.items] == [("00001", "bath"), ("00002", "x")]
    read = read_item(dataset, listing.items[0], dataset.protocol)
    assert read.inv_depth is not None and read.inv_depth.shape == (480, 640)
    assert read.inv_depth[200, 300] == pytest.approx(0.25) and np.isfinite(read.inv_depth).sum() == 2
    np.testing.assert_array_equal(read.photo[200, 300], images[1, :, 300, 200])
    assert not read.photo[:7].any() and not read.photo[:, 632:].any()
    # 12 m is beyond the cap of 10 m
    assert np.isfinite(read_item(dataset, listing.items[1], dataset.protocol).inv_depth).sum() == 1  # type: ignore[arg-type]
    # none of them are the authors' files
    assert len(dataset.wrong_checksums(tmp_path)) == 2
    scipy_io.savemat(tmp_path / "splits.mat", {"testNdxs": [[9]]})
    with pytest.raises(CaptureError, match="testNdxs"):
        dataset.items(tmp_path)


def test_nyu_png(tmp_path: Path) -> None:
    codes = np.zeros((480, 640), np.uint16)
    codes[100:110, 100:110] = 2500
    save(tmp_path / "test" / "kitchen" / "rgb_00045.jpg", photo(1, 480, 640))
    save(tmp_path / "test" / "kitchen" / "sync_depth_00045.png", codes)
    read = only("nyu-png", tmp_path)
    assert read.inv_depth is not None and read.inv_depth[105, 105] == pytest.approx(0.4)
    assert np.isfinite(read.inv_depth).sum() == 100
    save(tmp_path / "test" / "kitchen" / "rgb_00046.jpg", photo(1, 480, 640))
    listing = DATASETS["nyu-png"].items(tmp_path)
    assert len(listing.items) == 1 and "sync_depth" in listing.failures[0][1]
    save(tmp_path / "test" / "kitchen" / "sync_depth_00045.png", (codes // 256).astype(np.uint8))
    with pytest.raises(CaptureError, match="16-bit millimetres"):
        listing.items[0].load()


def test_nyu_png_in_folders_rgb_and_depth(tmp_path: Path) -> None:
    codes = np.zeros((480, 640), np.uint16)
    codes[100:110, 100:110] = 2500
    save(tmp_path / "rgb" / "rgb_00050.jpg", photo(1, 480, 640))
    save(tmp_path / "depth" / "sync_depth_00050.png", codes)
    read = only("nyu-png", tmp_path)
    assert read.inv_depth is not None and read.inv_depth[105, 105] == pytest.approx(0.4)
    assert DATASETS["nyu-png"].items(tmp_path).items[0].group == "nyu-png"
    (tmp_path / "depth" / "sync_depth_00050.png").unlink()
    with pytest.raises(CaptureError, match=r"rgb_00050\.jpg: its depth sync_depth_NNNNN\.png"):
        DATASETS["nyu-png"].items(tmp_path)


def test_nyu_png_reads_a_real_frame(real_formats: Path) -> None:
    dataset = DATASETS["nyu-png"]
    (item,) = dataset.items(real_formats / "nyu_demo").items
    everywhere = read_item(dataset, item, Protocol("all"))
    known = np.isfinite(everywhere.inv_depth)  # type: ignore[arg-type]
    # the rim is white and was not measured; a room is 0.5 to 10 m deep
    assert everywhere.photo[:5].mean() > 250 and not known[:5].any() and 0.5 < known.mean() < 1.0
    depth_m = 1.0 / everywhere.inv_depth[known]  # type: ignore[index]
    assert depth_m.min() > 0.5 and depth_m.max() < 10.0
    # millimetres, checked against the file
    codes = np.asarray(Image.open(real_formats / "nyu_demo/depth/sync_depth_00050.png"))
    np.testing.assert_allclose(depth_m, codes[codes > 0] / 1000.0, rtol=1e-6)
    cropped = read_item(dataset, item, dataset.protocol).inv_depth
    assert cropped is not None and not np.isfinite(cropped[:45]).any() and np.isfinite(cropped[45:471, 41:601]).any()


def test_kitti_photos_and_depths_of_one_name(tmp_path: Path) -> None:
    codes = np.zeros((H, W), np.uint16)
    codes[20] = 2560  # 10 m
    codes[21] = 100 * 256  # beyond the cap
    save(tmp_path / "rgb" / "0000000005.png", photo(1))
    save(tmp_path / "depth" / "0000000005.png", codes)
    read = only("kitti", tmp_path)
    assert read.inv_depth is not None and read.unit == "1/m"
    np.testing.assert_allclose(read.inv_depth[20], 0.1)
    assert np.isfinite(read.inv_depth).sum() == W
    assert np.isfinite(only("kitti", tmp_path, 0, Protocol("all")).inv_depth).sum() == 2 * W  # type: ignore[arg-type]
    save(tmp_path / "rgb" / "0000000006.png", photo(2))
    listing = DATASETS["kitti"].items(tmp_path)
    assert [item.name for item in listing.items] == ["0000000005"]
    ((missing, reason),) = listing.failures
    assert missing.endswith("0000000006.png") and "in depth/" in reason
    save(tmp_path / "depth" / "0000000005.png", (codes // 256).astype(np.uint8))
    with pytest.raises(CaptureError, match=r"0000000005\.png: .*100; .*16-bit"):
        listing.items[0].load()
    save(tmp_path / "depth" / "0000000005.png", codes[1:])
    with pytest.raises(CaptureError, match=f"inv_depth .*{W} x {H - 1} .*{W} x {H}"):
        read_item(DATASETS["kitti"], listing.items[0], Protocol("all"))


def test_kitti_selection_of_the_benchmark(tmp_path: Path) -> None:
    folder = tmp_path / "val_selection_cropped"
    for drive, frame, metres in (("2011_09_26_drive_0002", 5, 8), ("2011_10_03_drive_0047", 21, 4)):
        save(folder / f"image/{drive}_sync_image_{frame:010d}_image_02.png", photo(frame))
        save(
            folder / f"groundtruth_depth/{drive}_sync_groundtruth_depth_{frame:010d}_image_02.png",
            np.full((H, W), 256 * metres, np.uint16),
        )
    for root in (tmp_path, folder):
        items = DATASETS["kitti"].items(root).items
        assert [item.group for item in items] == ["2011_09_26_drive_0002", "2011_10_03_drive_0047"]
        np.testing.assert_allclose(only("kitti", root, 0).inv_depth, 1 / 8)  # type: ignore[arg-type]
        np.testing.assert_allclose(only("kitti", root, 1).inv_depth, 1 / 4)  # type: ignore[arg-type]


def test_kitti_reads_a_real_frame(real_formats: Path) -> None:
    read = only("kitti", real_formats / "kitti_demo", 0, Protocol("all"))
    assert read.inv_depth is not None
    known = np.isfinite(read.inv_depth)
    assert known.mean() == pytest.approx(0.2, abs=0.02) and not known[: known.shape[0] // 4].any()
    depth_m = 1.0 / read.inv_depth[known]
    codes = np.asarray(Image.open(real_formats / "kitti_demo/depth/0000000005.png"))
    np.testing.assert_allclose(depth_m, codes[codes > 0] / 256.0, rtol=1e-6)
    # a street: the road at the lower edge is near, the median is some ten metres away
    assert 3.0 < depth_m.min() < 8.0 and 8.0 < np.median(depth_m) < 30.0 and depth_m.max() < 120.0
    lower = 1.0 / read.inv_depth[-20:][known[-20:]]
    assert np.median(lower) < 0.7 * np.median(depth_m)
    capped = only("kitti", real_formats / "kitti_demo").inv_depth
    assert 0 < np.isfinite(capped).sum() < known.sum() and np.nanmin(capped) >= 1 / 80.0  # type: ignore[arg-type]


def test_ddff12(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    disparity = np.full((2, 1, H, W), 0.0202, np.float32)
    disparity[:, :, : H // 2] = 0.2825
    disparity[:, :, 0, 0] = 0.0
    with h5py.File(tmp_path / "ddff-dataset-trainval.h5", "w") as file:
        file["stack_val"] = np.random.default_rng(0).integers(0, 256, (2, 10, H, W, 3)).astype(np.float32)
        file["disp_val"] = disparity
    assert len(DATASETS["ddff12"].items(tmp_path).items) == 8
    near = only("ddff12", tmp_path)  # the first frame is focused at 0.5 m
    assert near.inv_depth is not None and near.signed_defocus_px is not None and near.defocus_px is not None
    assert near.inv_depth[1, 1] == pytest.approx(2.0) and np.isnan(near.inv_depth[0, 0])
    assert 1 / near.inv_depth[-1, -1] == pytest.approx(0.5 * 0.2825 / 0.0202)
    assert near.signed_defocus_px[1, 1] == pytest.approx(0.0, abs=1e-6)
    # 9 views a side: 4 standard deviations of 0..8 are 4 sqrt(60 / 9) = 10.33; what is farther lies behind
    assert near.signed_defocus_px[-1, -1] == pytest.approx(4 * np.sqrt(60 / 9) * (0.2825 - 0.0202), rel=1e-5)
    with h5py.File(tmp_path / "ddff-dataset-trainval.h5", "a") as file:
        file["disp_val"][...] = disparity * 100
    with pytest.raises(CaptureError, match="between neighbouring views"):
        only("ddff12", tmp_path)


def test_middlebury_2014(tmp_path: Path) -> None:
    folder = tmp_path / "Adirondack-perfect"
    save(folder / "im0.png", photo(1))
    disparity = np.full((H, W), 100.0, np.float32)
    disparity[0] = np.inf
    write_pfm(folder / "disp0.pfm", disparity)
    (folder / "calib.txt").write_text(
        "cam0=[4000 0 1176.728; 0 4000 1011.728; 0 0 1]\ncam1=[4000 0 1307.8; 0 4000 1011.7; 0 0 1]\n"
        "doffs=100\nbaseline=200.0\nwidth=32\nheight=24\nndisp=280\n"
    )
    read = only("middlebury-2014", tmp_path)
    # 200 mm x 4000 px / (100 px + 100 px) = 4 m
    assert read.inv_depth is not None and read.inv_depth[1, 1] == pytest.approx(0.25)
    assert np.isnan(read.inv_depth[0]).all()
    (folder / "calib.txt").write_text("cam0=[0 0 1; 0 0 1; 0 0 1]\ndoffs=1\nbaseline=1\n")
    with pytest.raises(CaptureError, match="positive"):
        only("middlebury-2014", tmp_path)


CALIBRATION = "cam0=[4000 0 1176.728; 0 4000 1011.728; 0 0 1]\ndoffs=100\nbaseline=200.0\n"


@pytest.mark.parametrize(
    "text",
    [
        CALIBRATION,
        "cam0=[ 4000 0 1176.728 ; 0 4000 1011.728 ; 0 0 1 ] \n doffs= 100 \nbaseline= 200.0\n",
        CALIBRATION.replace("=", " = ").replace("\n", " \r\n"),
        CALIBRATION.replace("=", "=\t").replace("\nd", "\n\td"),
        CALIBRATION.rstrip("\n"),
    ],
)
def test_middlebury_calibration_with_any_blanks(tmp_path: Path, text: str) -> None:
    (tmp_path / "calib.txt").write_bytes(text.encode())
    assert read_calibration(tmp_path / "calib.txt") == (4000.0, 100.0, 200.0)


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        (CALIBRATION.replace("doffs=100", "doffs="), r"doffs=\.\.\."),
        (CALIBRATION.replace("doffs=100", "doffs=1 00"), r"doffs=\.\.\."),
        (CALIBRATION.replace("baseline", "a baseline"), r"baseline=\.\.\."),
        (CALIBRATION.replace("[4000", "[four"), r"cam0=\[f 0 cx; \.\.\.\]"),
        ("", r"cam0=\[f 0 cx; \.\.\.\], doffs=\.\.\., baseline=\.\.\."),
    ],
)
def test_middlebury_calibration_names_the_line_that_is_missing(tmp_path: Path, text: str, lacking: str) -> None:
    (tmp_path / "calib.txt").write_text(text)
    with pytest.raises(CaptureError, match=rf"calib\.txt: no line {lacking} with"):
        read_calibration(tmp_path / "calib.txt")


def test_middlebury_benchmark_names_its_disparity_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "Adirondack"
    save(folder / "im0.png", photo(1))
    (folder / "calib.txt").write_text(CALIBRATION)
    ((missing, reason),) = DATASETS["middlebury-2014"].list_items(tmp_path)  # type: ignore[misc]
    assert missing == str(folder / "disp0.pfm") and "disp0GT.pfm" in reason
    write_pfm(folder / "disp0GT.pfm", np.full((H, W), 100.0, np.float32))
    np.testing.assert_allclose(only("middlebury-2014", tmp_path).inv_depth, 0.25)  # type: ignore[arg-type]
    # of the two the set's own name is taken
    write_pfm(folder / "disp0.pfm", np.full((H, W), 300.0, np.float32))
    np.testing.assert_allclose(only("middlebury-2014", tmp_path).inv_depth, 0.5)  # type: ignore[arg-type]


def test_middlebury_reads_a_real_scene_of_the_benchmark(real_formats: Path, shared_data: Path) -> None:
    root = real_formats / "MiddEval3" / "trainingQ"
    read = only("middlebury-2014", root)
    assert read.inv_depth is not None and read.unit == "1/m"
    known = np.isfinite(read.inv_depth)
    assert known.mean() > 0.9 and not np.isinf(read.inv_depth).any()
    # the scene's calib.txt states 8 to 65 px of disparity, f 1038.018 px, doffs 53.271 px, baseline 176.252 mm
    nearest, farthest = ((d + 53.271) * 1000.0 / (176.252 * 1038.018) for d in (65.0, 8.0))
    assert farthest * 0.98 <= read.inv_depth[known].min() and read.inv_depth[known].max() <= nearest * 1.02
    # what the disparity says is at x in the left photo is at x - d in the right one, and upside down it is not
    left, right = (np.asarray(Image.open(root / f"Adirondack/im{n}.png").convert("L"), np.float64) for n in (0, 1))
    disparity = read.inv_depth * (176.252 * 1038.018 / 1000.0) - 53.271
    assert agreement(left, right, disparity) > 0.9 > 0.8 > agreement(left, right, disparity[::-1])
    # another copy of the same scene, with another size and calibration, is as deep
    (copy,) = (scene for scene in list_stereo(shared_data / "depth/stereo") if scene.name == "Adirondack")
    assert np.median(read.inv_depth[known]) == pytest.approx(np.nanmedian(copy.read_inv_depth()), rel=0.05)


# --- blur -------------------------------------------------------------------------------------------------------------


def test_syndof(tmp_path: Path) -> None:
    save(tmp_path / "image" / "MPI_a_f_50.png", photo(1))
    levels = np.zeros((H, W, 3), np.uint8)
    levels[..., 1] = 35  # sigma 3.5 px
    save(tmp_path / "blur_map" / "MPI_a_f_50.png", levels)
    read = only("syndof", tmp_path)
    assert read.defocus_px is not None and read.defocus_px[0, 0] == pytest.approx(14.0)
    levels[..., 1] = 255
    save(tmp_path / "blur_map" / "MPI_a_f_50.png", levels)
    with pytest.raises(CaptureError, match="blur_map_norm"):
        only("syndof", tmp_path)


def test_damaged_files_are_reported(tmp_path: Path) -> None:
    save(tmp_path / "image" / "a.png", photo(1))
    (tmp_path / "blur_map").mkdir()
    (tmp_path / "blur_map" / "a.png").write_bytes(b"no image")
    with pytest.raises(MddnetError, match=r"blur_map/a\.png"):
        DATASETS["syndof"].items(tmp_path).items[0].load()
    pytest.importorskip("h5py")
    (tmp_path / "ddff-dataset-trainval.h5").write_bytes(b"no hdf5")
    with pytest.raises(CaptureError, match=r"trainval\.h5: not .*HDF5"):
        DATASETS["ddff12"].items(tmp_path)
