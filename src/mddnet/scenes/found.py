"""Discovery of scene folders, complete or damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mddnet.errors import CaptureError
from mddnet.photo.image_file import opened_image
from mddnet.scenes.store import BUILD_AGAIN
from mddnet.types import SceneRecord


@dataclass(frozen=True, slots=True)
class FoundScene:
    """A folder that is or should be a scene; ``kind`` is the parent folder, "" directly below the root."""

    kind: str
    folder: Path


@dataclass(frozen=True, slots=True)
class DamagedScene:
    """An unusable scene; ``reason`` is the error, naming the file."""

    kind: str
    name: str
    reason: str


def find_scenes(root: Path) -> list[FoundScene]:
    """Scene folders directly below ``root`` or one level deeper, complete or not, sorted by kind and name.

    A folder without ``scene.json`` counts as a damaged scene if a folder next to it is a scene.
    """
    if not root.is_dir():
        raise CaptureError(f"{root}: no such folder; expected a folder written by `mddnet build`")
    found: list[FoundScene] = []
    for folder in _folders(root):
        if (folder / "scene.json").is_file():
            found.append(FoundScene("", folder))
            continue
        below = _folders(folder)
        if any((scene / "scene.json").is_file() for scene in below):
            found += [FoundScene(folder.name, scene) for scene in below]
    return sorted(found, key=lambda scene: (scene.kind, scene.folder.name))


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def check_images(folder: Path, record: SceneRecord, size: tuple[int, int], decode: bool = False) -> None:
    """Check that all images of a scene have the ``size`` (width, height) of the depth map; CaptureError if not."""
    names = [record.sharp, *(frame.file for frame in record.frames)]
    for name in [*names, record.confidence] if record.confidence is not None else names:
        with opened_image(folder / name, BUILD_AGAIN) as image:
            if decode:
                image.load()
            here = image.size
        if here != size:
            raise CaptureError(
                f"{folder / name}: {here[0]} x {here[1]} pixels; expected {size[0]} x {size[1]} like "
                f"{record.inv_depth}: {BUILD_AGAIN}"
            )
