"""Videos that the tests encode themselves come back frame by frame."""

from __future__ import annotations

import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.photo.test_odd_files import P3_AS_SRGB, P3_STORED
from tests.photo.test_photo import STORED, quarters

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import ImageError
from mddnet.photo.video import frame_count, frame_stem, is_video, sampled_frames, video_frames
from mddnet.types import Lens, UInt8Array

HEIGHT, WIDTH, FRAMES = 96, 128, 12
# The rows of the matrix from BT.2020 to BT.709 are those of ITU-R BT.2087, equation 4.
BT2020_AS_SRGB = tuple(
    int(value)
    for value in srgb8_from_linear(
        np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
        @ linear_from_srgb8(np.array([128, 128, 64], np.uint8))
    )
)


def frame(index: int) -> UInt8Array:
    """Red grows with the frame, the upper half is green."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, :, 0] = 20 * index
    pixels[: HEIGHT // 2, :, 1] = 200
    return pixels


def write_video(
    path: Path,
    frames: list[UInt8Array],
    codec: str = "mpeg4",
    aspect: tuple[int, int] = (1, 1),
    colours: tuple[int, int] = (2, 2),
) -> None:
    av = pytest.importorskip("av", reason="videos need the extra formats")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        stream.options = {"qscale": "1"} if codec == "mpeg4" else {}
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        stream.bit_rate = 8_000_000
        stream.codec_context.color_primaries, stream.codec_context.color_trc = colours
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def test_a_lossless_video_is_read_exactly(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", [frame(i) for i in range(FRAMES)], "ffv1")
    photos = list(video_frames(tmp_path / "clip.mkv", Lens(focal_mm=35)))
    assert len(photos) == FRAMES == frame_count(tmp_path / "clip.mkv")
    for index, photo in enumerate(photos):
        np.testing.assert_array_equal(photo.pixels, frame(index))
        assert photo.path == tmp_path / "clip.mkv" and photo.lens == Lens(focal_mm=35) and photo.notes == ()


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "mpeg4"), ("clip.mov", "libx264"), ("clip.webm", "libvpx-vp9")]
)
def test_usual_videos(tmp_path: Path, name: str, codec: str) -> None:
    write_video(tmp_path / name, [frame(i) for i in range(FRAMES)], codec)
    photos = list(video_frames(tmp_path / name))
    assert len(photos) == FRAMES
    for index, photo in enumerate(photos):
        # Away from the edge between the halves, which the colours at half resolution smear.
        error = np.abs(photo.pixels.astype(int) - frame(index))[[10, 80]]
        assert error.max() <= 6


# a, b, c, d of the display matrix by EXIF orientation: (x, y) goes to (a x + c y, b x + d y), ISO/IEC 14496-12, 8.3.2.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("orientation", MATRICES)
def test_turned_and_mirrored_videos_come_out_upright(tmp_path: Path, orientation: int) -> None:
    scene = quarters().repeat(4, axis=0).repeat(4, axis=1)
    path = tmp_path / "turned.mp4"
    write_video(path, [np.ascontiguousarray(STORED[orientation](scene))] * 3)
    data = path.read_bytes()
    at = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[at : at + 36])[:2] == (65536, 0)
    a, b, c, d = (65536 * value for value in MATRICES[orientation])
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :])
    photo = next(iter(video_frames(path)))
    assert photo.pixels.shape == scene.shape
    for rows, columns in ((slice(20, 60), slice(20, 100)), (slice(100, 140), slice(140, 220))):
        assert np.abs(photo.pixels[rows, columns].astype(int) - scene[rows, columns]).max() <= 8


@pytest.mark.parametrize(("aspect", "shape"), [((4, 3), (96, 171, 3)), ((1, 2), (192, 128, 3)), ((1, 1), (96, 128, 3))])
def test_pixels_of_a_video_are_made_square(tmp_path: Path, aspect: tuple[int, int], shape: tuple[int, ...]) -> None:
    write_video(tmp_path / "dv.mp4", [frame(3)] * 3, aspect=aspect)
    photo = next(iter(video_frames(tmp_path / "dv.mp4")))
    assert photo.pixels.shape == shape
    upper, lower = photo.pixels[shape[0] // 4], photo.pixels[3 * shape[0] // 4]
    assert np.abs(upper.astype(int) - [60, 200, 0]).max() <= 8 and np.abs(lower.astype(int) - [60, 0, 0]).max() <= 8
    assert any("square" in note for note in photo.notes) == (aspect != (1, 1))


# P3 by the rows of tests/photo/test_odd_files.py, BT.2020 by BT.2087; grey stays grey.
@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
@pytest.mark.parametrize(
    ("colours", "stored", "read", "note"),
    [
        ((12, 13), P3_STORED, P3_AS_SRGB, ""),
        ((12, 1), P3_STORED, P3_AS_SRGB, ""),
        ((9, 14), (140, 140, 140), (140, 140, 140), ""),
        ((9, 1), (128, 128, 64), BT2020_AS_SRGB, ""),
        ((1, 1), P3_STORED, P3_STORED, ""),
        ((2, 2), P3_STORED, P3_STORED, ""),
        ((9, 16), P3_STORED, P3_STORED, "HDR curve PQ"),
        ((9, 18), P3_STORED, P3_STORED, "HDR curve HLG"),
        ((8, 1), P3_STORED, P3_STORED, "primaries 8"),
    ],
)
def test_colours_of_a_video(
    tmp_path: Path,
    codec: str,
    colours: tuple[int, int],
    stored: tuple[int, int, int],
    read: tuple[int, int, int],
    note: str,
) -> None:
    path = tmp_path / "clip.mkv"
    write_video(path, [np.full((96, 128, 3), stored, np.uint8)] * 3, codec, colours=colours)
    for photo in (*video_frames(path), *sampled_frames(path, 2)):
        assert np.abs(photo.pixels.astype(int) - read).max() <= 4
        assert len(photo.notes) == bool(note) and note in "".join(photo.notes)


def test_samples_are_spread_over_the_video(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [frame(i) for i in range(FRAMES)])
    reds = [int(photo.pixels[80, 60, 0]) for photo in sampled_frames(tmp_path / "clip.mp4", 3)]
    assert len(reds) == 3 and np.abs(np.array(reds) - [40, 120, 200]).max() <= 26  # frames 2, 6, 10, or a neighbour
    assert len(list(sampled_frames(tmp_path / "clip.mp4", 50))) <= FRAMES


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_video_gives_its_frames_and_then_an_error(tmp_path: Path, share: float) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "cut.mkv"
    write_video(path, [random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(FRAMES)], "ffv1")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    count = 0
    with pytest.raises(ImageError, match=r"cut\.mkv: .*(copy it|MP4)"):
        for _ in video_frames(path):
            count += 1
    assert count <= FRAMES * share


def test_files_that_are_not_videos(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra formats")
    (tmp_path / "words.mp4").write_text("these are words")
    with pytest.raises(ImageError, match=r"words\.mp4: not .*video"):
        next(iter(video_frames(tmp_path / "words.mp4")))
    with pytest.raises(ImageError, match="no such file"):
        next(iter(video_frames(tmp_path / "none.mp4")))
    write_video(tmp_path / "large.mp4", [frame(0)])
    with pytest.raises(ImageError, match=r"128 x 96 px .*large"):
        next(iter(video_frames(tmp_path / "large.mp4", max_pixels=1000)))


def test_a_playlist_with_the_suffix_of_a_video_is_not_followed(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [frame(0)])
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'clip.mp4'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ImageError, match=r"list\.mp4: not .*video"):
        next(iter(video_frames(tmp_path / "list.mp4")))


def test_a_missing_extra_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(ImageError, match=r"clip\.mp4: .*pip install .mddnet\[formats\]"):
        next(iter(video_frames(tmp_path / "clip.mp4")))


def test_names() -> None:
    assert is_video(Path("a/CLIP.MOV")) and not is_video(Path("clip.gif"))
    assert frame_stem(Path("a/clip.mp4"), 123) == "clip.000123"
