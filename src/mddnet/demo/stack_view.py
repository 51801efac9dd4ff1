"""What the page keeps of a measured focal stack: its pictures and maps, downsampled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mddnet.demo.page_maps import HERO_SIDE_PX, PageMaps, Point, page_maps
from mddnet.focus_stack.result import StackResult
from mddnet.optics import signed_defocus_px
from mddnet.predict.refocus import inv_depth_at
from mddnet.types import LensLawFit, UInt8Array


@dataclass(frozen=True, slots=True)
class StackView:
    """A downsampled result of :func:`mddnet.stack`; frames are in order from near to far."""

    sharp: PageMaps  # the all-in-focus image
    frames: tuple[UInt8Array, ...]  # (h, w, 3) uint8 each, sRGB
    names: tuple[str, ...]  # of their files
    u_focus: tuple[float, ...]  # inverse depth of their planes of focus
    kappa_px: float  # pixels of CoC, at full size, for one unit of inverse depth

    def focused_at(self, point: Point) -> int:
        """Number of the frame that is focused nearest to a point."""
        return int(np.argmin(np.abs(np.array(self.u_focus) - inv_depth_at(self.sharp.inv_depth, point))))

    def frame_maps(self, frame: int) -> PageMaps:
        """A frame with its defocus."""
        u_focus = self.u_focus[frame]
        signed = signed_defocus_px(self.sharp.inv_depth, u_focus, self.kappa_px).astype(np.float32)
        law = LensLawFit(True, u_focus, self.kappa_px, 0.0)
        return replace(self.sharp, pixels=self.frames[frame], signed_defocus_px=signed, focus=law)


def stack_view(result: StackResult) -> StackView:
    """Downsample a result."""
    numbers = range(len(result.names))
    frames = tuple(page_maps(result.prediction(i), HERO_SIDE_PX).pixels for i in numbers)
    sharp = page_maps(result.prediction(), HERO_SIDE_PX)
    return StackView(sharp, frames, result.names, result.u_focus, result.kappa_px)
