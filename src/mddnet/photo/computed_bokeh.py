"""Signs in the metadata of a photo that its blur was computed: portrait modes of phones."""

from __future__ import annotations

from collections.abc import Mapping

from PIL.ExifTags import Base

PORTRAITS = (7, 8)
"""Apple's values of CustomRendered for portraits, with and without HDR."""
XMP_SIGNS = {
    b"ns.google.com/photos/1.0/focus/": "Google's lens blur",
    b"ns.google.com/photos/1.0/depthmap/": "a depth map for computed blur (GDepth)",
    b"ns.google.com/photos/dd/1.0/": "a depth map for computed blur (Dynamic Depth)",
    b"SpecialType-PORTRAIT": "a portrait mode",
}
"""Namespaces and values in XMP."""
MOST_XMP_BYTES = 2**20
"""The signs stand before embedded pictures."""


def computed_bokeh(tags: Mapping[int, object], xmp: object) -> str:
    """What says that the blur was computed; "" if nothing does.

    Args:
        tags: of the EXIF IFD.
        xmp: the XMP packet, bytes or text; anything else is ignored.
    """
    if tags.get(Base.CustomRendered) in PORTRAITS:
        return f"a portrait mode (EXIF CustomRendered {tags[Base.CustomRendered]})"
    packet = xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
    if not isinstance(packet, bytes):
        return ""
    packet = packet[:MOST_XMP_BYTES]
    return next((meaning for sign, meaning in XMP_SIGNS.items() if sign in packet), "")
