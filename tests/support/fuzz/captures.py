"""Targets that are captures: folders with capture.json of each kind, manifests, ALL-in-3D, fringe images."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.support.fuzz import draw as st
from tests.support.fuzz.damage import damaged
from tests.support.fuzz.photos import picture
from tests.support.fuzz.target import Cases, Files, Target, damage_one
from tests.support.fuzz.values import any_text, edited_json, edited_lines

from mddnet.errors import MddnetError, RejectedScene

HEIGHT, WIDTH = 36, 40


def small(seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return picture(seed)[:HEIGHT, :WIDTH]


def written_png(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def described(description: str, document: Any, other_names: list[str], files: Files, damage: int = 3) -> Cases:
    """Mostly an edited description, now and then a damaged one, else a damaged image."""
    edited = edited_json(document).map(lambda content: {description: content})
    images = damage_one(files, other_names)
    return st.one_of([edited] * 7 + [damage_one(files, [description])] + [images] * damage)


def description(files: Files, name: str = "capture.json") -> Any:
    return json.loads(files[name])


# --- focal stacks -----------------------------------------------------------------------------------------------------


def _stack(folder: Path) -> None:
    from tests.support.made_focal_stack import write_capture_json

    names = [f"frame_{i}.png" for i in range(4)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(written_png(small(number)))
    (folder / "index.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 2, np.uint8)))
    write_capture_json(
        folder,
        names,
        scene="cup",
        focus={"unit": "1/m", "values": [1.0, 2.0, 3.5, 4.0], "order": "far_to_near"},
        lens={"focal_mm": 50, "f_number": 2.0, "pixel_um": 5.9},
        index_map={"file": "index.png", "first_frame": 1},
    )


def _stack_cases(files: Files) -> Cases:
    return described("capture.json", description(files), ["frame_0.png", "frame_2.png", "index.png"], files)


def _read_stack(folder: Path) -> None:
    from mddnet.captures.focal_stack import read_focal_stack

    stack = read_focal_stack(folder)
    assert stack.focus_values is None or all(np.isfinite(stack.focus_values))
    for index in range(min(len(stack.frame_files), 4)):
        assert stack.read_frame(index).shape == (stack.height, stack.width, 3)
        inside(folder, stack.frame_files[index])
    stack.read_index_map()


def inside(folder: Path, path: Path) -> None:
    """Nothing may come from outside the capture folder."""
    assert path.resolve().is_relative_to(folder.resolve()), f"{path} lies outside {folder}"


# --- light fields -----------------------------------------------------------------------------------------------------


def _field(folder: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(small()).save(stream, "JPEG")
    for row in range(3):
        for col in range(3):
            (folder / f"view_{row:02d}_{col:02d}.jpg").write_bytes(stream.getvalue())
    about = {"kind": "light_field", "scene": "s", "place": "p", "source": "", "licence": "CC0", "rows": 3, "cols": 3}
    (folder / "capture.json").write_text(json.dumps(about | {"views": "view_RR_CC.jpg", "note": "n"}))


def _field_cases(files: Files) -> Cases:
    return described("capture.json", description(files), ["view_00_00.jpg", "view_01_01.jpg"], files)


def _read_field(folder: Path) -> None:
    from mddnet.captures.light_field import read_light_field

    field = read_light_field(folder)
    for row, col in ((0, 0), field.centre):
        field.read_view(row, col)


# --- rigs and fringe images -------------------------------------------------------------------------------------------


def _rig(folder: Path) -> None:
    """A capture next to its calibration, which several captures of a rig share."""
    from tests.captures.test_rig import CALIBRATION, write_rig

    write_rig(folder / "capture", calibration="calibration.json", f_number=2.8, aperture_px=300.0, offset_mm=24.0)
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION))


def _rig_cases(files: Files) -> Cases:
    whole = json.loads(files["capture/capture.json"]) | {"calibration": json.loads(files["calibration.json"])}
    images = damage_one(files, ["capture/stack/0.png", "capture/fringes/0_0.png"])
    edits = [
        edited_json(whole).map(lambda content: {"capture/capture.json": content}),
        edited_json(whole["calibration"]).map(lambda content: {"calibration.json": content}),
        edited_json(whole["fringes"]).map(
            lambda content: {
                "capture/capture.json": json.dumps(whole).encode().replace(_part(whole, "fringes"), content)
            }
        ),
    ]
    return st.one_of([*edits, *edits, damage_one(files, ["capture/capture.json", "calibration.json"]), images])


def _part(document: dict[str, Any], key: str) -> bytes:
    return json.dumps(document[key]).encode()


def _read_rig(folder: Path) -> None:
    from mddnet.captures.rig import read_rig, rig_files

    for path in rig_files(folder / "capture"):
        inside(folder, path)
    rig = read_rig(folder / "capture")
    for path in (*rig.frames, *(file for row in rig.fringes.files for file in row)):
        inside(folder / "capture", path)
    assert np.isfinite(rig.geometry.rotation).all() and np.isfinite(rig.geometry.baseline_mm)
    assert rig.read_fringe(0, 0).shape == (rig.height, rig.width)


def _fringes(folder: Path) -> None:
    x = (np.arange(WIDTH) + 0.5) / WIDTH
    for k, periods in enumerate((1, 6)):
        for step in range(4):
            light = 0.5 + 0.4 * np.cos(2 * np.pi * (periods * x - step / 4))
            image = np.broadcast_to(np.rint(light * 65535).astype(np.uint16), (HEIGHT, WIDTH))
            (folder / f"{k}_{step}.png").write_bytes(written_png(np.ascontiguousarray(image)))


def _fringe_cases(files: Files) -> Cases:
    """Replacements of fringe images: flat, saturated, noisy, exchanged, damaged."""
    rng = np.random.default_rng(0)
    deep = [
        np.zeros((HEIGHT, WIDTH), np.uint16),
        np.full((HEIGHT, WIDTH), 65535, np.uint16),
        rng.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16),
        rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8),
        np.where(np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2, np.uint16(65535), np.uint16(0)),
        np.zeros((1, 1), np.uint8),
    ]
    other = [*map(written_png, deep), *files.values()]
    content = st.one_of(st.sampled_from(other), st.sampled_from(other), damaged(files["0_0.png"], other))
    return st.dictionaries(st.sampled_from(sorted(files)), content, min_size=1, max_size=8)


def _read_fringes(folder: Path) -> None:
    from mddnet.captures.rig import read_light
    from mddnet.scenes.fringes import check_steps, decode_phase, fringe_code

    rows = [[folder / f"{k}_{step}.png" for step in range(4)] for k in range(2)]
    images = [[read_light(path, "linear") for path in row] for row in rows]
    if len({image.shape for row in images for image in row}) > 1:
        raise RejectedScene("sizes that differ are refused by the reader of captures, before")
    for row, paths, periods in zip(images, rows, (1.0, 6.0), strict=True):
        check_steps(row, paths, periods)
    code = fringe_code([decode_phase(row) for row in images], (1.0, 6.0))
    position = code.position[np.isfinite(code.position)]
    assert ((position >= 0) & (position <= 1)).all() and 0 <= code.lit <= 1


# --- ALL-in-3D --------------------------------------------------------------------------------------------------------


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _all_in_3d(folder: Path) -> None:
    import tifffile

    for name in ("all_in_focus", "depth/1", "fd/1", "focus_small/1"):
        (folder / name).mkdir(parents=True)
    tifffile.imwrite(folder / "all_in_focus/1.tif", small(), photometric="rgb")
    (folder / "depth/1/depth.npy").write_bytes(npy(np.full((HEIGHT, WIDTH), 800.0)))
    (folder / "depth/1/mask.npy").write_bytes(npy(np.full((HEIGHT, WIDTH), 255, np.uint8)))
    (folder / "fd/1/fd.npy").write_bytes(npy(np.linspace(600.0, 900.0, 31)))
    for position in (1, 11, 21, 31):
        (folder / f"focus_small/1/f_{position}.png").write_bytes(written_png(small(position)))
    facts = {"source": "s", "licence": "l", "focal_mm": 50, "aperture_px": 340.0, "offset_change_mm": 0.0}
    (folder / "all_in_3d.json").write_text(json.dumps(facts))


HEADERS = ("<f8", ">f4", "<f2", "|u1", "<i8", "|b1", "|O", "<U9", "|V8", "<c16", "<M8[s]", "[('a','<f8')]", "x", "")


@st.composite
def odd_npy(draw: st.Draw, size: int) -> bytes:
    """A .npy file of any type and shape, with more or less data than stated."""
    kind = draw(st.sampled_from(HEADERS))
    side = st.sampled_from((0, 1, 4, HEIGHT, WIDTH, -1, 2**31, 2**62, 10**30, True, 1.5))
    shape = draw(st.one_of(st.just((HEIGHT, WIDTH)), st.lists(side, max_size=4).map(tuple), side))
    extra = draw(st.sampled_from(("", ", 'x': 1", ", 'a': " + "[" * 200 + "]" * 200, " " * 20000)))
    order = draw(st.sampled_from(("False", "True", "None", "0")))
    described = kind if kind.startswith("[") else repr(kind)
    text = f"{{'descr': {described}, 'fortran_order': {order}, 'shape': {shape!r}{extra}}}".encode()
    text = draw(st.one_of(st.just(text), damaged(text))) + b"\n"
    version = draw(st.sampled_from((b"\x01\0", b"\x02\0", b"\x03\0", b"\x09\0")))
    length = len(text).to_bytes(2, "little") if version == b"\x01\0" else len(text).to_bytes(4, "little")
    values = np.frombuffer(draw(st.binary(min_size=8, max_size=8)) * size, np.uint8).tobytes()
    return b"\x93NUMPY" + version + length[: 2 if version == b"\x01\0" else 4] + text + values


def _all_in_3d_cases(files: Files) -> Cases:
    import pickle
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.npy", npy(np.zeros(3)))
    arrays = ["depth/1/depth.npy", "depth/1/mask.npy", "fd/1/fd.npy"]
    odd = st.one_of(
        odd_npy(HEIGHT * WIDTH),
        odd_npy(31),
        st.sampled_from((archive.getvalue(), pickle.dumps([1.0] * 31), npy(np.array(5.0)), npy(np.full(31, np.nan)))),
    )
    numbers = st.lists(st.one_of(st.floats(), st.floats(60, 2000)), min_size=31, max_size=31)
    return st.one_of(
        edited_json(json.loads(files["all_in_3d.json"])).map(lambda content: {"all_in_3d.json": content}),
        st.tuples(st.sampled_from(arrays), odd).map(lambda pair: {pair[0]: pair[1]}),
        numbers.map(lambda values: {"fd/1/fd.npy": npy(np.array(values))}),
        damage_one(files, arrays),
        damage_one(files, ["all_in_focus/1.tif", "focus_small/1/f_1.png", "all_in_3d.json"]),
    )


def _read_all_in_3d(folder: Path) -> None:
    from mddnet.captures.all_in_3d import AllIn3dScene, holds_all_in_3d, list_all_in_3d

    holds_all_in_3d(folder)
    for scene in list_all_in_3d(folder):
        if not isinstance(scene, AllIn3dScene):
            continue
        shape = scene.read_rgb().shape
        depth = scene.read_depth_m(shape)
        assert not np.isinf(depth).any() and not (depth <= 0).any()
        assert (scene.read_focus_z_m() > 0).all()
        scene.read_frame(0, shape)


# --- manifests --------------------------------------------------------------------------------------------------------


def _rgbd(folder: Path) -> None:
    (folder / "lab").mkdir()
    (folder / "lab/1.jpg").write_bytes(written_png(small()))
    (folder / "lab/1.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 1500, np.uint16)))
    (folder / "lab/2.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 90, np.uint8)))
    (folder / "manifest.csv").write_text(
        "source,scene,rgb,depth,depth_unit,licence,note\n"
        "lab,room,lab/1.jpg,lab/1.png,mm,CC0,\n"
        "field,crops,lab/1.jpg,lab/2.png,8bit-relative,none stated,noisy\n"
    )


def _multiview(folder: Path) -> None:
    (folder / "bust").mkdir()
    (folder / "bust/1.jpg").write_bytes(written_png(small()))
    (folder / "bust/1.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 60000, np.uint16)))
    (folder / "manifest.csv").write_text(
        "source,scene,rgb,depth,depth_unit,licence,note,place\n"
        "bust,bust,bust/1.jpg,bust/1.png,ordinal,CC0,few far points,multiview/bust\n"
    )


def _stereo(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(written_png(small()))
    (folder / "a.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 15000, np.uint16)))
    (folder / "b.png").write_bytes(written_png(np.full((HEIGHT, WIDTH), 90, np.uint8)))
    (folder / "manifest.csv").write_text(
        "source,scene,files,kind,unit,calibration,licence,note\n"
        "m,Metric,a.jpg;a.png;b.jpg,stereo_gt,px,Z_mm=160*3740/(3*d+200),free,\n"
        "m,Facts,a.jpg;a.png,stereo_gt,px,f=900 px; baseline 100 mm; doffs=20 px,free,\n"
        "t,Table,a.jpg;b.png,rgbd_relative,-,none,research,the picture is dark\n"
    )


def _sharp_photos(folder: Path) -> None:
    (folder / "photos").mkdir()
    (folder / "photos/a.jpg").write_bytes(written_png(small()))
    (folder / "photos/manifest.csv").write_text("file,source,licence\na.jpg,web,CC0\nphotos/a.jpg,own,CC0\n")


NUMBERS = ("0", "-1", "9" * 400, "1e999", "0.0", "00", "1.5", "nan", "٣")


def _cells(files: Files, name: str, others: list[str]) -> Cases:
    text = files[name].decode()
    numbers = st.sampled_from(NUMBERS)
    odd_calibrations = st.one_of(
        st.tuples(numbers, numbers, numbers, numbers).map(lambda n: f"Z_mm={n[0]}*{n[1]}/({n[2]}*d+{n[3]})"),
        st.tuples(numbers, numbers, numbers).map(lambda n: f'"f={n[0]} px, baseline {n[1]} mm, doffs={n[2]} px"'),
    )
    names = st.sampled_from(
        [*files, "../" + name, "/etc/passwd", "mm", "stereo_gt", "a.jpg;a.png", "x" * 400, "x" * 200_000]
    )
    value = st.one_of(any_text(), names, odd_calibrations)
    return st.one_of(
        *[edited_lines(text, value, ",").map(lambda content: {name: content})] * 4,
        damage_one(files, [name]),
        damage_one(files, others),
    )


def _read_listed(folder: Path, kind: str) -> None:
    from mddnet.captures.photo_folder import list_photos
    from mddnet.captures.rgbd import RgbdFrame, list_multiview, list_rgbd
    from mddnet.captures.stereo import StereoScene, list_stereo

    if kind == "photos":
        for photo in list_photos(folder / "photos"):
            inside(folder, photo.image)
            photo.read_rgb()
        return
    readers: dict[str, Callable[[Path], Sequence[RgbdFrame | StereoScene]]] = {
        "rgbd": list_rgbd,
        "multiview": list_multiview,
        "stereo": list_stereo,
    }
    for one in readers[kind](folder):
        inside(folder, one.image)
        try:
            one.read_rgb()
        except MddnetError:
            continue
        assert not np.isinf(one.read_inv_depth()).any()


def _split(folder: Path) -> None:
    (folder / "split.csv").write_text("place,split\nplace_a,train\nplace_b,dev\n")


def _read_split(folder: Path) -> None:
    from mddnet.data.split import read_split, split_of

    locations = read_split(folder / "split.csv")
    assert set(locations.values()) <= {"train", "dev"}
    split_of("place_a", locations)


def _plan(folder: Path) -> None:
    for name in ("stack", "field", "rig"):
        (folder / name).mkdir()
    _stack(folder / "stack")
    _field(folder / "field")
    _rig(folder / "rig")


def _plan_cases(files: Files) -> Cases:
    names = [name for name in files if name.endswith("capture.json")]
    edits = [edited_json(json.loads(files[name])).map(lambda content, name=name: {name: content}) for name in names]
    return st.one_of([*edits, damage_one(files, names)])


def _read_plan(folder: Path) -> None:
    from mddnet.scenes.plan import plan_build

    plan = plan_build([folder])
    assert plan.tasks or plan.failures
    for task in plan.tasks:
        assert Path(task.name).name == task.name and task.name not in {"", ".", ".."}


TARGETS = (
    Target("focal_stack", "focal stacks: capture.json and images", 12_000, _stack, _stack_cases, _read_stack),
    Target("light_field", "light fields: capture.json and views", 8_000, _field, _field_cases, _read_field),
    Target("rig", "rigs: capture.json, calibration and images", 10_000, _rig, _rig_cases, _read_rig),
    Target("fringes", "fringe sets, decoded", 3_000, _fringes, _fringe_cases, _read_fringes),
    Target(
        "all_in_3d",
        "ALL-in-3D: all_in_3d.json, fd.npy, depth.npy, mask.npy, images",
        10_000,
        _all_in_3d,
        _all_in_3d_cases,
        _read_all_in_3d,
    ),
    Target(
        "rgbd",
        "RGB-D manifests and images",
        6_000,
        _rgbd,
        lambda files: _cells(files, "manifest.csv", ["lab/1.png", "lab/2.png"]),
        lambda folder: _read_listed(folder, "rgbd"),
    ),
    Target(
        "multiview",
        "manifests and images of multi-view points",
        4_000,
        _multiview,
        lambda files: _cells(files, "manifest.csv", ["bust/1.png"]),
        lambda folder: _read_listed(folder, "multiview"),
    ),
    Target(
        "stereo",
        "stereo manifests and images",
        8_000,
        _stereo,
        lambda files: _cells(files, "manifest.csv", ["a.png", "a.jpg"]),
        lambda folder: _read_listed(folder, "stereo"),
    ),
    Target(
        "photo_folder",
        "manifests of sharp photos",
        4_000,
        _sharp_photos,
        lambda files: _cells(files, "photos/manifest.csv", ["photos/a.jpg"]),
        lambda folder: _read_listed(folder, "photos"),
    ),
    Target(
        "split",
        "split.csv",
        4_000,
        _split,
        lambda files: _cells(files, "split.csv", ["split.csv"]),
        _read_split,
    ),
    Target(
        "plan",
        "what `mddnet build` finds in a folder of captures",
        4_000,
        _plan,
        _plan_cases,
        _read_plan,
        needs=("cv2",),
    ),
)
