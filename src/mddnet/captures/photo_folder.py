"""A folder of sharp photos without depth, listed by a ``manifest.csv`` with the columns file, source, licence.

They lend texture to rendered blur over synthetic depth, so they only ever train. File names are relative to the folder
that holds the manifest's folder, or to the manifest's folder itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mddnet.captures.kind import Kind, ListedCapture
from mddnet.captures.manifest import each_once, manifest_rows, path_inside
from mddnet.captures.rgbd import read_rgb_file
from mddnet.errors import CaptureError
from mddnet.types import UInt8Array


@dataclass(frozen=True, slots=True)
class SharpPhoto(ListedCapture):
    """A photo that is sharp throughout.

    Attributes:
        image: path of the photo.
        other: a photo of which pieces may be pasted in front, or None.
    """

    image: Path
    other: SharpPhoto | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The photo, and the one that may be pasted into it."""
        return (self.image,) if self.other is None else (self.image, self.other.image)

    def read_rgb(self) -> UInt8Array:
        """(H, W, 3) uint8, sRGB.

        Raises:
            ImageError: if the file is missing or damaged.
        """
        return read_rgb_file(self.image)


def list_photos(root: Path) -> list[SharpPhoto]:
    """Sharp photos of ``root/manifest.csv``, in its order.

    Raises:
        CaptureError: for a manifest that is missing or incomplete, a file that does not exist, or one listed twice.
    """
    photos: list[SharpPhoto] = []
    for line, row in manifest_rows(root, ("file", "source", "licence")):
        candidates = [path_inside(base, row["file"], line) for base in (root.parent, root)]
        image = next((c for c in candidates if c.is_file()), None)
        if image is None:
            raise CaptureError(f"{line}: {row['file']} does not exist; restore it or drop the row")
        source = row["source"]
        photos.append(SharpPhoto(f"{source}_{image.stem}", f"photos/{source}", source, row["licence"], image))
    each_once(root, photos)
    return [replace(photo, other=_pasted(photo, photos)) for photo in photos]


def _pasted(photo: SharpPhoto, photos: Sequence[SharpPhoto]) -> SharpPhoto:
    """The other photo, drawn by name so that the order of building does not matter."""
    return photos[int(named_rng(f"paste onto {photo.location}/{photo.name}", 0).integers(len(photos)))]


def named_rng(name: str, seed: int) -> np.random.Generator:
    """Generator that depends on a name and the seed only, not on the order of building."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


KINDS = (
    Kind(
        name="photos",
        title="Photos with synthetic depth",
        capture="photo",
        order=7,
        real=False,
        share=0.3,
        builder="mddnet.scenes.rendered_scene:build_photo_scene",
        frames_rendered=3,
        reader=list_photos,
        folders=("photos",),
    ),
)
