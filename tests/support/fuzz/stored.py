"""Targets that are stored data: scenes, the 16-bit codec, shards, models, recipes, results, public data sets."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.fuzz import draw as st
from tests.support.fuzz.captures import HEIGHT, WIDTH, described, description, small, written_png
from tests.support.fuzz.damage import PNG_START, damaged
from tests.support.fuzz.target import Cases, Files, Target, damage_one
from tests.support.fuzz.values import any_text, edited_json, edited_lines, toml_value
from tests.support.tiny_model import CONFIG, write_tiny_model

from mddnet.errors import MddnetError
from mddnet.types import FrameRecord, Lens, SceneRecord

ROOT = Path(__file__).parents[3]


# --- scenes and the codec ---------------------------------------------------------------------------------------------


def inv_depth_map() -> np.ndarray[Any, np.dtype[np.float32]]:
    u = np.linspace(0.1, 0.9, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    u[:2, :2], u[5, 5] = np.nan, -np.inf
    return u


def _scene(folder: Path) -> None:
    from mddnet.scenes.store import write_image, write_inv_depth, write_scene_json

    for name in ("sharp.png", "frame_00.png", "frame_01.png"):
        write_image(folder / name, small())
    write_image(folder / "confidence.png", small()[:, :, 0])
    write_inv_depth(folder / "inv_depth.png", inv_depth_map(), "relative")
    frames = [FrameRecord(f"frame_{i:02d}.png", 0.2 + i / 2, 12.0) for i in range(2)]
    record = SceneRecord(
        name="cup",
        location="kitchen",
        capture="focal_stack",
        source="made",
        licence="CC0",
        provenance="rendered",
        unit="relative",
        frames=frames,
        sharp="sharp.png",
        inv_depth="inv_depth.png",
        confidence="confidence.png",
        lens=Lens(50.0, 2.0, 5.9, float("inf")),
        measures={"rerender": 0.1},
    )
    write_scene_json(folder, record)


def _scene_cases(files: Files) -> Cases:
    return described(
        "scene.json", description(files, "scene.json"), ["sharp.png", "frame_00.png", "confidence.png"], files
    )


def _read_scene(folder: Path) -> None:
    from mddnet.scenes.shards import sample_key
    from mddnet.scenes.store import list_scenes, read_image, read_inv_depth, read_scene

    list_scenes(folder.parent)
    record = read_scene(folder)
    for name in (record.sharp, record.inv_depth, *(frame.file for frame in record.frames)):
        assert (folder / name).resolve().parent == folder.resolve()
    read_image(folder / record.sharp)
    for frame in record.frames[:3]:
        read_image(folder / frame.file)
    read_inv_depth(folder / record.inv_depth)
    sample_key("group", record.name, 0)


def png_with_text(png: bytes, text: bytes) -> bytes:
    """A PNG with another content of its tEXt chunk ``mddnet``."""
    parts, at = [PNG_START], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"tEXt" and body.startswith(b"mddnet\0"):
            body = b"mddnet\0" + text
        parts.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
        at += 12 + length
    return b"".join(parts)


def _codec(folder: Path) -> None:
    from mddnet.scenes.store import write_inv_depth

    write_inv_depth(folder / "inv_depth.png", inv_depth_map(), "1/m")


def _codec_cases(files: Files) -> Cases:
    png = files["inv_depth.png"]
    scale = {"quantity": "inv_depth", "unit": "1/m", "low": 0.1, "step": 1e-5}
    grey = [written_png(np.full((HEIGHT, WIDTH), 9, kind)) for kind in (np.uint8, np.uint16, np.int32)]
    content = st.one_of(
        edited_json(scale).map(lambda text: png_with_text(png, text)),
        edited_json(scale).map(lambda text: png_with_text(png, text)),
        damaged(png, grey),
        st.sampled_from((*grey, written_png(small()))),
    )
    return content.map(lambda data: {"inv_depth.png": data})


def _read_codec(folder: Path) -> None:
    from mddnet.scenes.store import read_inv_depth

    assert not np.isinf(read_inv_depth(folder / "inv_depth.png")).any()


# --- shards -----------------------------------------------------------------------------------------------------------


def _shard(folder: Path) -> None:
    from mddnet.scenes.shards_write import plan_shards, write_shards

    scene = folder / "made" / "focal_stacks" / "cup"
    scene.mkdir(parents=True)
    _scene(scene)
    (row,) = write_shards(plan_shards(folder / "made", lambda location: "train"), folder / "out")
    (folder / "case.tar").write_bytes((folder / "out" / row.name).read_bytes())
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.name != "case.tar":
            path.rmdir() if path.is_dir() else path.unlink()


TYPES = (tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE)
TYPES += (
    tarfile.FIFOTYPE,
    tarfile.CONTTYPE,
    tarfile.GNUTYPE_SPARSE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.XHDTYPE,
    b"\0",
    b"Z",
)
NAMES = (
    "../a.json",
    "/etc/a.json",
    "a/b.json",
    "..json",
    ".",
    "a",
    "",
    "a.",
    ".json",
    "x" * 300 + ".json",
    "a\\b.json",
    "\udcff.json",
)
SIZES = (0, 1, 511, 513, 10**9, 8**11 - 1, -1, -512, -(2**40), 2**60)


def _members(data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


@st.composite
def odd_tar(draw: st.Draw, members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar file with members of other names, types, sizes and contents, whose headers have right checksums."""
    stream = io.BytesIO()
    chosen = draw(st.sampled_from(range(len(members))))
    action = draw(
        st.sampled_from(("name", "type", "size", "content", "leave out", "repeat", "link", "pax", "json", "map"))
    )
    kind = draw(st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)))
    for number, (member, content) in enumerate(members):
        info = tarfile.TarInfo(member.name)
        if number == chosen:
            if action == "leave out":
                continue
            if action in ("name", "link"):
                info.name = draw(st.one_of(st.sampled_from(NAMES), any_text()))
            if action in ("type", "link"):
                info.type, info.linkname = draw(st.sampled_from(TYPES)), draw(st.sampled_from(NAMES))
            if action == "content":
                content = draw(
                    st.one_of(damaged(content, [c for _, c in members]), st.sampled_from([c for _, c in members]))
                )
            if action == "json" and not member.name.endswith("json"):
                continue
            if action == "pax":
                keys = st.sampled_from(("size", "path", "linkpath", "GNU.sparse.size", "GNU.sparse.map", "mtime", "x"))
                info.pax_headers = {draw(keys): draw(st.one_of(any_text(), st.sampled_from(SIZES).map(str)))}
        if action == "json" and member.name.endswith("json"):
            content = draw(edited_json(json.loads(content)))
        if action == "map" and member.name.endswith("x.png") and number >= chosen:
            scale = {
                "quantity": member.name.split(".")[1],
                "unit": "relative",
                "low": 0.1,
                "step": 1e-5,
                "infinity": 0.0,
            }
            content = png_with_text(content, draw(edited_json(scale)))
        info.size = len(content)
        try:
            header = bytearray(info.tobuf(kind, errors="surrogateescape"))
        except (ValueError, UnicodeError, OverflowError, TypeError, AttributeError):
            continue  # what tarfile itself cannot write
        if number == chosen and action == "size":
            _sample_size(header, draw(st.sampled_from(SIZES)))
        for _ in range(2 if number == chosen and action == "repeat" else 1):
            stream.write(bytes(header) + content + bytes(-len(content) % 512))
    return stream.getvalue() + bytes(1024)


def _sample_size(header: bytearray, size: int) -> None:
    """Write a size into the last header block, in octal or in base 256, and its checksum."""
    at = len(header) - 512
    octal = b"%011o\0" % size if 0 <= size < 8**11 else b""
    header[at + 124 : at + 136] = octal or bytes([0x80 if size >= 0 else 0xFF]) + (size % 256**11).to_bytes(11, "big")
    header[at + 148 : at + 156] = b" " * 8
    header[at + 148 : at + 156] = b"%06o\0 " % sum(header[at : at + 512])


def _shard_cases(files: Files) -> Cases:
    content = st.one_of(odd_tar(_members(files["case.tar"])), damaged(files["case.tar"]))
    return content.map(lambda data: {"case.tar": data})


def _read_shard(folder: Path) -> None:
    from mddnet.scenes.shards import read_shard

    for number, sample in enumerate(read_shard(folder / "case.tar")):
        assert sample.sharp.shape == sample.focused.shape and sample.confidence.shape == sample.inv_depth.shape
        assert not np.isinf(sample.inv_depth).any() and not np.isinf(sample.signed_defocus_px).any()
        assert number < 100, "more sets than were written"


# --- models -----------------------------------------------------------------------------------------------------------


def _model(folder: Path) -> None:
    (folder / "m").mkdir()
    write_tiny_model(folder / "m")


def _model_cases(files: Files) -> Cases:
    return st.one_of(
        *[edited_json(CONFIG).map(lambda content: {"m/config.json": content})] * 6,
        damage_one(files, ["m/config.json"]),
    )


def _read_model(folder: Path) -> None:
    from mddnet.predict.model_dir import open_model_dir

    found = open_model_dir(folder / "m")
    assert found.multiple * found.long_side < 2**26 and np.isfinite(found.defocus_cap_px)


def _graph_cases(files: Files) -> Cases:
    return damage_one(files, ["m/model.onnx"])


def _run_graph(folder: Path) -> None:
    from mddnet.predict.predictor import load

    prediction = load(folder / "m", threads=1).predict(small())
    for quantity in prediction.quantities:
        assert np.isfinite(getattr(prediction, quantity)).all(), quantity


def _weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    (folder / "m").mkdir()
    save_file({"a.weight": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.int64)}, folder / "m/model.safetensors")
    network = {"encoder": "tf_efficientnet_lite0", "pretrained": False, "tasks": "both"}
    (folder / "m/config.json").write_text(json.dumps(CONFIG | {"network": network}))


def _weights_cases(files: Files) -> Cases:
    network = json.loads(files["m/config.json"])
    return st.one_of(
        damage_one(files, ["m/model.safetensors"]),
        edited_json(network).map(lambda content: {"m/config.json": content}),
    )


def _read_weights(folder: Path) -> None:
    """The reader up to the network itself, whose building takes a second."""
    from mddnet.model.network import MDDNet

    class Stop(Exception):
        pass

    class Unbuilt(MDDNet):
        def __init__(self, *_: object) -> None:
            raise Stop

    with suppress(Stop):
        Unbuilt.from_pretrained(folder / "m")


def _archive(folder: Path) -> None:
    from mddnet.model.archive import pack
    from mddnet.model.folder import MODEL_FILES

    (folder / "m").mkdir()
    write_tiny_model(folder / "m")
    with (folder / "m.zip").open("wb") as stream:
        pack(folder / "m", stream, MODEL_FILES)


ENTRY_NAMES = (
    "config.json",
    "model.onnx",
    "card.md",
    "model.safetensors",
    "m/config.json",
    "m/model.onnx",
    "../config.json",
)
ENTRY_NAMES += (
    "/etc/config.json",
    "a/b/config.json",
    "C:/config.json",
    "m\\config.json",
    "config.json/",
    "CONFIG.JSON",
    "x",
)


@st.composite
def odd_zip(draw: st.Draw, contents: list[bytes]) -> bytes:
    """A ZIP with entries of any name, kind, method and size; some state another size than they have."""
    import warnings

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        for _ in range(draw(st.sampled_from((0, 1, 2, 3, 4, 4, 4, 4)))):
            entry = zipfile.ZipInfo(draw(st.sampled_from(ENTRY_NAMES)))
            entry.compress_type = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))
            entry.external_attr = draw(st.sampled_from((0o644, 0o120777, 0o020644, 0o040755))) << 16
            content = draw(st.sampled_from(contents))
            if draw(st.integers(0, 30)) == 0:
                content = bytes(1_500_000)
            archive.writestr(entry, content)
        if draw(st.integers(0, 60)) == 0:
            for number in range(300):
                archive.writestr(f"{number}.txt", b"")
    data = bytearray(stream.getvalue())
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        at = data.rfind(draw(st.sampled_from((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))))
        if at >= 0:
            field = at + draw(st.sampled_from((4, 6, 8, 10, 16, 20, 22, 24, 26, 28, 30, 42)))
            number = draw(st.sampled_from((0, 1, 8, 99, 0xFFFF, 2**31, 0xFFFFFFFF, 0xFFFFFFFE)))
            size = draw(st.sampled_from((2, 4)))
            data[field : field + size] = (number & (256**size - 1)).to_bytes(size, "little")
    return bytes(data)


def _archive_cases(files: Files) -> Cases:
    contents = [files["m/config.json"], files["m/model.onnx"], files["m/card.md"], b"", b"{}"]
    content = st.one_of(odd_zip(contents), odd_zip(contents), damaged(files["m.zip"]))
    return content.map(lambda data: {"m.zip": data})


def _read_archive(folder: Path) -> None:
    from mddnet.model import archive
    from mddnet.predict.model_dir import open_model_dir

    try:
        open_model_dir(folder / "m.zip")
    finally:
        for holder, unpacked in archive._unpacked.values():
            names = {path.name for path in unpacked.parent.rglob("*") if path.is_file()}
            assert names <= {"config.json", "model.onnx", "card.md", "model.safetensors"}, names
            holder.cleanup()
        archive._unpacked.clear()


# --- recipes, results -------------------------------------------------------------------------------------------------


def _recipe(folder: Path) -> None:
    (folder / "recipe.toml").write_text((ROOT / "recipes/small.toml").read_text(encoding="utf-8"))
    (folder / "set.txt").write_text("optim.lr=0.001")


def _recipe_cases(files: Files) -> Cases:
    from mddnet.config import _KEYS

    text = files["recipe.toml"].decode()
    known = st.sampled_from(sorted(key for key, table in _KEYS.items() if not table))
    key = st.one_of(known, known, known, any_text())
    override = st.tuples(key, toml_value()).map(lambda pair: f"{pair[0]}={pair[1]}".encode("utf-8", "replace"))
    return st.one_of(
        edited_lines(text, toml_value(), " = ").map(lambda content: {"recipe.toml": content}),
        edited_lines(text, toml_value(), " = ").map(lambda content: {"recipe.toml": content}),
        override.map(lambda content: {"set.txt": content}),
        damage_one(files, ["recipe.toml"]),
    )


def _read_recipe(folder: Path) -> None:
    from mddnet.config import load_recipe, recipe_toml

    overrides = [(folder / "set.txt").read_text(encoding="utf-8", errors="replace")]
    recipe = load_recipe(folder / "recipe.toml", overrides)
    (folder / "again.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    assert load_recipe(folder / "again.toml") == recipe


def _facts(folder: Path) -> None:
    facts = {
        "mddnet_prediction": 1,
        "source": "/photos/cup.jpg",
        "complete": True,
        "content": "blake2b:00",
        "model": {"name": "small", "version": "0.1.0+00"},
        "lens": Lens(50.0, 2.0, 5.9, float("inf")).to_json(),
        "refined": False,
    }
    from mddnet.predict.output import OUTPUT_FORMAT

    (folder / "cup.json").write_text(json.dumps(facts | {"mddnet_prediction": OUTPUT_FORMAT}))
    (folder / ".built_from.json").write_text(json.dumps({"digest": "00"}))
    (folder / "scene.json").write_text("{}")


def _facts_cases(files: Files) -> Cases:
    from mddnet.scenes.build import BUILT_FROM

    facts, digest = json.loads(files["cup.json"]), json.loads(files[".built_from.json"])
    return st.one_of(
        *[edited_json(facts).map(lambda content: {"cup.json": content})] * 3,
        edited_json(digest).map(lambda content: {BUILT_FROM: content}),
        damage_one(files, ["cup.json"]),
    )


def _read_facts(folder: Path) -> None:
    from mddnet.predict.output import find_saved, read_facts
    from mddnet.scenes.build import digest_of_scene

    read_facts(folder / "cup.json")
    find_saved(folder, Path("/photos/cup.jpg"))
    assert digest_of_scene(folder) is None or isinstance(digest_of_scene(folder), str)


# --- public data sets -------------------------------------------------------------------------------------------------


def _public(folder: Path) -> None:
    """A miniature of each data set with other files than images."""
    import h5py
    import scipy.io

    pfm = f"Pf\n{WIDTH} {HEIGHT}\n-1.0\n".encode() + np.full((HEIGHT, WIDTH), 3.5, "<f4").tobytes()
    scene = folder / "middlebury-2014/Cup"
    scene.mkdir(parents=True)
    (scene / "im0.png").write_bytes(written_png(small()))
    (scene / "disp0.pfm").write_bytes(pfm)
    (scene / "calib.txt").write_text(
        "cam0=[3997.684 0 1176.728; 0 3997.684 1011.728; 0 0 1]\ndoffs=131.111\nbaseline=193.001\n"
    )
    (folder / "nyu-mat").mkdir()
    with h5py.File(folder / "nyu-mat/nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((2, 3, WIDTH, HEIGHT), np.uint8)
        file["rawDepths"] = np.ones((2, WIDTH, HEIGHT), np.float32)
    scipy.io.savemat(folder / "nyu-mat/splits.mat", {"testNdxs": np.array([[1], [2]])})


TEXTS = (
    "1e999",
    "-1",
    "0",
    "nan",
    "99999999999",
    "9" * 5000,
    "-9",
    "inf",
    "Pf",
    "PF",
    "0x1",
    "1_0",
    "2147483648 2147483648",
)


def _public_cases(files: Files) -> Cases:
    value = st.one_of(st.sampled_from(TEXTS), any_text())
    pfm = files["middlebury-2014/Cup/disp0.pfm"]
    start, data = pfm[: -4 * HEIGHT * WIDTH].decode(), pfm[-4 * HEIGHT * WIDTH :]
    return st.one_of(
        edited_lines(start, value, " ").map(lambda head: {"middlebury-2014/Cup/disp0.pfm": head + b"\n" + data}),
        edited_lines(files["middlebury-2014/Cup/calib.txt"].decode(), value, "=").map(
            lambda content: {"middlebury-2014/Cup/calib.txt": content}
        ),
        damage_one(
            files,
            [
                "middlebury-2014/Cup/disp0.pfm",
                "middlebury-2014/Cup/im0.png",
                "nyu-mat/nyu_depth_v2_labeled.mat",
                "nyu-mat/splits.mat",
            ],
        ),
    )


def _read_public(folder: Path) -> None:
    from mddnet.evaluate.datasets import DATASETS

    refused: MddnetError | None = None
    for name in ("middlebury-2014", "nyu-mat"):
        try:
            for item in DATASETS[name].items(folder / name).items[:2]:
                photo = item.load()
                assert photo.inv_depth is not None and not np.isinf(photo.inv_depth).any()
        except MddnetError as error:
            refused = error
    if refused is not None:
        raise refused


TARGETS = (
    Target("scene", "scene.json and the images of a scene", 12_000, _scene, _scene_cases, _read_scene),
    Target("codec", "the 16-bit codec of inverse depth", 8_000, _codec, _codec_cases, _read_codec),
    Target(
        "shard",
        "shards: tar files, their maps and descriptions",
        8_000,
        _shard,
        _shard_cases,
        _read_shard,
        needs=("joblib",),
    ),
    Target("model", "model folders: config.json", 8_000, _model, _model_cases, _read_model, needs=("onnx",)),
    Target("model_zip", "models as a .zip", 8_000, _archive, _archive_cases, _read_archive, needs=("onnx",)),
    Target("graph", "model.onnx, loaded and run", 3_000, _model, _graph_cases, _run_graph, needs=("onnx",)),
    Target(
        "weights", "model.safetensors", 2_000, _weights, _weights_cases, _read_weights, needs=("torch", "safetensors")
    ),
    Target("recipe", "recipes (TOML) and --set", 12_000, _recipe, _recipe_cases, _read_recipe),
    Target(
        "results",
        "results found again: cup.json, what a scene was built from",
        4_000,
        _facts,
        _facts_cases,
        _read_facts,
    ),
    Target(
        "public_sets",
        "public data sets: PFM, calibrations, .mat, HDF5",
        7_000,
        _public,
        _public_cases,
        _read_public,
        needs=("h5py", "scipy"),
    ),
)
