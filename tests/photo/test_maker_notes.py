"""The focus distance of maker notes is read and noted, and EXIF has precedence."""

from __future__ import annotations

import io
import math
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mddnet.photo.maker_notes import focus_of_maker_tags
from mddnet.photo.reader import read_photo

SHORT, LONG, ASCII, RATIONAL, UNDEFINED = 3, 4, 2, 5, 7


def directory(entries: list[tuple[int, int, int, bytes]], at: int) -> bytes:
    """An image file directory that begins at an offset; values of more than four bytes follow it."""
    position = at + 2 + 12 * len(entries) + 4
    head, values = struct.pack("<H", len(entries)), b""
    for tag, kind, count, data in entries:
        if len(data) <= 4:
            head += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
        else:
            head += struct.pack("<HHII", tag, kind, count, position + len(values))
            values += data
    return head + struct.pack("<I", 0) + values


def canon_exif(upper_cm: int, subject_distance: tuple[int, int] | None = None) -> bytes:
    """An EXIF block as a Canon writes it, with the far end of its estimate in the maker notes."""
    shot_info = [0] * 30
    shot_info[0], shot_info[19] = 60, upper_cm

    def block(exif_at: int, note_at: int) -> tuple[bytes, bytes, bytes]:
        note = directory([(0x0004, SHORT, 30, struct.pack("<30H", *shot_info))], note_at)
        entries = [(0x829D, RATIONAL, 1, struct.pack("<II", 28, 10))]
        if subject_distance is not None:
            entries.append((0x9206, RATIONAL, 1, struct.pack("<II", *subject_distance)))
        entries += [
            (0x920A, RATIONAL, 1, struct.pack("<II", 50, 1)),
            (0x927C, UNDEFINED, len(note), note),
        ]
        first = directory(
            [(0x010F, ASCII, 6, b"Canon\0"), (0x8769, LONG, 1, struct.pack("<I", exif_at))],
            8,
        )
        return first, directory(entries, exif_at), note

    first, _, _ = block(0, 0)
    exif_at = 8 + len(first)
    _, exif, note = block(exif_at, 0)
    note_at = exif_at + len(exif) - len(note)  # the note is the last value of its directory
    first, exif, _ = block(exif_at, note_at)
    return b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + first + exif


def jpeg(path: Path, exif: bytes) -> Path:
    stream = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(stream, "JPEG", exif=exif)
    path.write_bytes(stream.getvalue())
    return path


def test_a_canon_without_a_subject_distance(tmp_path: Path) -> None:
    pytest.importorskip("exifread", reason="maker notes need the extra formats")
    photo = read_photo(jpeg(tmp_path / "a.jpg", canon_exif(152)))
    assert photo.lens.focal_mm == 50 and photo.lens.f_number == 2.8
    assert photo.lens.focus_m == pytest.approx(1.52)
    assert any("1.52 m from the maker notes of Canon" in note for note in photo.notes)
    assert read_photo(jpeg(tmp_path / "b.jpg", canon_exif(65535))).lens.focus_m == math.inf
    assert read_photo(jpeg(tmp_path / "c.jpg", canon_exif(0))).lens.focus_m is None


def test_the_subject_distance_of_exif_comes_first(tmp_path: Path) -> None:
    photo = read_photo(jpeg(tmp_path / "a.jpg", canon_exif(152, (2, 1))))
    assert photo.lens.focus_m == 2.0 and not any("maker" in note for note in photo.notes)


@pytest.mark.parametrize(
    ("tags", "focus_m"),
    [
        ({"MakerNote ManualFocusDistance": SimpleNamespace(values=[Fraction(3, 2)])}, 1.5),
        ({"MakerNote ManualFocusDistance": SimpleNamespace(values=[0])}, None),
        ({"MakerNote Object Distance": SimpleNamespace(values=[740])}, 0.74),
        ({"MakerNote SubjectDistance": SimpleNamespace(values=65535)}, math.inf),
        ({"MakerNote SubjectDistance": SimpleNamespace(values="n/a")}, None),
        ({"MakerNote Object Distance": SimpleNamespace(values=[-3])}, None),
        ({}, None),
    ],
)
def test_maker_notes_are_read(tags: dict[str, object], focus_m: float | None) -> None:
    found = focus_of_maker_tags(tags)
    assert (None if found is None else found[0]) == focus_m
