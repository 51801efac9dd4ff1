"""A folder of sharp photos without depth, listed by a ``manifest.csv`` with the columns file, source, licence.

They lend texture to rendered blur over made-up depth, so they only ever train. File names are relative to the folder
that holds the manifest's folder, or to the manifest's folder itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mddnet.captures.rgbd import path_inside, read_manifest, read_rgb_file
from mddnet.errors import CaptureError
from mddnet.types import UInt8Array


@dataclass(frozen=True, slots=True)
class SharpPhoto:
    """A photo that is sharp throughout, not read yet.

    Attributes:
        name: unique among the photos of a manifest, fit for a folder name.
        image: path of the photo.
        place: ``"photos/SOURCE"``.
        source: where the photo comes from.
        licence: licence found there.
    """

    name: str
    image: Path
    place: str
    source: str
    licence: str

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
    manifest = root / "manifest.csv"
    photos: list[SharpPhoto] = []
    seen: set[str] = set()
    for number, row in enumerate(read_manifest(manifest, ("file", "source", "licence")), 2):
        candidates = [path_inside(base, row["file"], manifest) for base in (root.parent, root)]
        image = next((c for c in candidates if c.is_file()), None)
        if image is None:
            raise CaptureError(f"{manifest}, line {number}: {row['file']} does not exist; restore it or drop the row")
        name = f"{row['source']}_{image.stem}"
        if name in seen:
            raise CaptureError(f"{manifest}, line {number}: {name} occurs twice; expected one row per photo")
        seen.add(name)
        photos.append(
            SharpPhoto(name, image, place=f"photos/{row['source']}", source=row["source"], licence=row["licence"])
        )
    return photos
