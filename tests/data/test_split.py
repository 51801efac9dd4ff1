from __future__ import annotations

import json
from pathlib import Path

import pytest

from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_split_of_every_location(tmp_path: Path) -> None:
    locations = read_split(write(tmp_path / "split.csv", "place,split\nroom,train\nrgbd/lab , dev\nhall,calib\n"))
    assert locations == {"room": "train", "rgbd/lab": "dev", "hall": "calib"}
    assert split_of("room", locations) == "train"
    assert split_of("rgbd/lab", locations) == "dev"
    assert split_of("elsewhere", locations) is None


def test_photos_are_train_by_definition(tmp_path: Path) -> None:
    locations = read_split(write(tmp_path / "split.csv", "place,split\nphotos/kodak24,dev\n"))
    assert split_of("photos/kodak24", locations) == "train"


def test_rendered_views_are_train_unless_listed(tmp_path: Path) -> None:
    locations = read_split(write(tmp_path / "split.csv", "place,split\nviews/rooms/R1,calib\n"))
    assert split_of("views/rooms/R1", locations) == "calib"
    assert split_of("views/rooms/R2", locations) == "train"
    assert split_of("rooms/R2", locations) is None
    assert split_of("photos/anything", {}) == "train"
    assert split_of("photos", {}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "place,split\nroom,test\n",
            r"line 2: location 'room', split 'test'; .*train, dev or calib",
        ),
        ("place,split\nroom,Train\n", r"split 'Train'"),
        ("place,split\n,dev\n", r"location ''"),
        ("place,split\nroom\n", r"split ''"),
        ("place,split\nroom,train\nhall,dev\nroom,train\n", r"line 4: location 'room' .*twice"),
        ("room,train\n", r"expected place,split"),
        ("", r"expected place,split"),
    ],
)
def test_a_wrong_split_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "split.csv", text)
    with pytest.raises(CaptureError, match=message) as caught:
        read_split(path)
    assert str(path) in str(caught.value)


def test_binary_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_bytes(b"place,split\n\xff\xfe,dev\n")
    with pytest.raises(CaptureError, match=r"split\.csv: not .*readable"):
        read_split(tmp_path / "split.csv")
    with pytest.raises(CaptureError, match=r"missing\.csv: not .*readable"):
        read_split(tmp_path / "missing.csv")


def test_every_real_capture_is_in_the_split(shared_data: Path) -> None:
    locations = read_split(shared_data / "split.csv")
    captures = sorted(shared_data.glob("captures/*/*/capture.json"))
    assert len(captures) == 31
    named = {json.loads(path.read_text())["place"] for path in captures}
    assert not {location for location in named if split_of(location, locations) is None}
