"""From the photos of a focal stack, or two photos, to an all-in-focus image and depth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from mddnet.errors import MddnetError, install_hint

if TYPE_CHECKING:
    from mddnet.focus_stack.result import StackResult
    from mddnet.types import Lens

Order = Literal["auto", "near-to-far", "far-to-near"]
Step = Callable[[str, int, int], None]
"""Is called with the name of a step, the number of its finished parts, and of all parts."""


def stack(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    lens: Lens | None = None,
    focus_m: Sequence[float | None] | None = None,
    order: Order = "auto",
    threads: int | None = None,
    scratch: str | os.PathLike[str] | None = None,
    step: Step = lambda name, done, count: None,
) -> StackResult:
    """Align the photos of a focal stack, and measure depth, defocus and an all-in-focus image.

    The photos, two or more, show one scene from one viewpoint at different focus distances.

    Args:
        paths: photos, patterns, a folder of photos, or one video of a focus sweep.
        lens: facts that replace those of the files. Without ``focus_m``, EXIF's focus distances are used.
        focus_m: focus distance of every photo in metres, measured from the sensor, in the order of ``paths``; None is
            unknown.
        order: ``"near-to-far"`` and ``"far-to-near"`` state that ``paths`` are in this order; ``"auto"`` finds it by
            the focus distances, else by the time and sharpness of the photos; the direction by the shipped network,
            else by their magnification.
        threads: largest number of processor cores; None is all.
        scratch: folder for temporary files of the size of all pixels, times two or three; None is that of the system.
        step: is called with the name of the step, the number of its finished parts and of all parts.

    Raises:
        MddnetError: for fewer than two usable photos, photos that cannot be aligned, or without the extra ``build``.
    """
    try:
        from mddnet.focus_stack.run import measured
    except ModuleNotFoundError as error:
        raise MddnetError(f"a focal stack needs the package {error.name}; {install_hint('build')}") from error
    return measured(paths, lens, focus_m, order, threads, scratch, step)
