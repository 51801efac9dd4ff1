"""From a photo to its maps, with ONNX Runtime alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from mddnet.errors import ImageError, ModelError
from mddnet.photo.reader import MIN_SIDE_PX, photo_from_array, photo_from_image, read_photo
from mddnet.predict.dioptres import MAX_DEPTH_M, coc_of_infinity_px, inv_depth_in_unit, inv_depth_scale
from mddnet.predict.enlarge import enlarged, reduced
from mddnet.predict.lens_law_fit import (
    SHARP_PX,
    bounded_sign_logit,
    fit_lens_law,
    law_agreement,
    side_log_odds,
    signs,
)
from mddnet.predict.likeness import UNKNOWN_AGREEMENT, unlike_training
from mddnet.predict.model_dir import INPUT_NAME, OUTPUT_NAMES, ModelDir, open_model_dir
from mddnet.predict.prediction import CompactPrediction, Prediction
from mddnet.predict.texture import texture_evidence
from mddnet.types import Float32Array, Photo, UInt8Array

SMALL_SIDE_PX = 64
"""A photo whose long side is shorter than this is enlarged to it; nothing else is ever enlarged."""
MAX_ASPECT = 32
CLIPPED_SHARE = 0.5
"""A CoC above this share of the model's cap may be any larger one: the shipped model, whose cap is 80 px, answers 32 px
to a disc of 32 px, but 41 px to one of 48 px (docs/depth-from-blur.md)."""
FINE_ENLARGEMENT = 2
"""A finer look takes the photo at up to this many times the model's usual size ..."""
FINE_BELOW_PX, FINE_ABOVE_PX = 4.0, 8.0
"""... and is believed below a CoC of 4 px of the usual look's image, and not above 8 px."""
PROVIDERS = ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")
QUIET_ERRORS_ONLY = 3

PhotoLike = Photo | str | os.PathLike[str] | Image.Image | NDArray[Any]


@dataclass(frozen=True, slots=True)
class NetworkMaps:
    """What the network says, at its own resolution (h, w).

    Attributes:
        pixels: (h, w, 3) uint8, the image that it saw.
        inv_depth: (h, w), relative inverse depth in [0, 1].
        defocus_px: (h, w), CoC diameter in pixels of ``pixels``.
        sign_logit: (h, w), log-odds of lying behind the plane of focus.
        scale: pixels of the photo per pixel here; CoC diameters are multiplied by it.
    """

    pixels: UInt8Array
    inv_depth: Float32Array
    defocus_px: Float32Array
    sign_logit: Float32Array
    scale: float


class Model:
    """A trained network, ready to predict.

    Example:
        >>> model = mddnet.load()  # doctest: +SKIP
        >>> model.predict("cup.jpg").save("out/")  # doctest: +SKIP
    """

    def __init__(self, model_dir: ModelDir, threads: int | None = None, *, shares_cores: bool = False) -> None:
        """Load the graph of a model folder; the arguments are those of :func:`load`.

        Raises:
            ModelError: if the graph is damaged or has other inputs or outputs than a model of mddnet.
        """
        self.model_dir = model_dir
        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET_ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        if shares_cores:
            # by default threads that wait for the others of a run keep their core busy
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        available = onnxruntime.get_available_providers()
        try:
            self._session = onnxruntime.InferenceSession(
                str(model_dir.graph), options, providers=[name for name in PROVIDERS if name in available]
            )
        except Exception as error:
            # ONNX Runtime raises classes of its own that share no public base.
            raise ModelError(
                f"{model_dir.graph}: not a graph that ONNX Runtime can run ({error}); export it again"
            ) from error
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if inputs != {INPUT_NAME} or not outputs.issuperset(OUTPUT_NAMES):
            raise ModelError(
                f"{model_dir.graph}: inputs {sorted(inputs)}, outputs {sorted(outputs)}; expected {INPUT_NAME} and "
                f"{', '.join(OUTPUT_NAMES)}: export the model again"
            )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model_dir.name

    @property
    def version(self) -> str:
        """Version of its weights."""
        return self.model_dir.version

    def network_maps(self, pixels: UInt8Array, long_side: int | None = None) -> NetworkMaps:
        """Run the network once on an image made small enough, and give its maps as they are.

        Args:
            pixels: (H, W, 3) uint8, sRGB-encoded.
            long_side: what a longer image is made smaller to, pixels; None is the model's own.

        Raises:
            ImageError: if the image is more than 32 times as long as wide.
            ModelError: if the network answers with NaN or infinity, or another shape.
        """
        height, width = pixels.shape[:2]
        h, w = network_size(height, width, long_side or self.model_dir.long_side)
        small = pixels
        if (h, w) != (height, width):
            resized = Image.fromarray(pixels).resize((w, h), Image.Resampling.LANCZOS, reducing_gap=3.0)
            small = np.asarray(resized)
        m = self.model_dir.multiple
        padded = np.pad(small, ((0, -h % m), (0, -w % m), (0, 0)), mode="reflect")
        image = padded.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255.0)  # (1, 3, h', w')
        try:
            answers = self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: image})
        except Exception as error:
            # Classes of ONNX Runtime again; out of memory on an accelerator is among them.
            raise ModelError(f"{self.model_dir.graph}: cannot run on an input {image.shape} ({error})") from error
        for name, answer in zip(OUTPUT_NAMES, answers, strict=True):
            if answer.shape != (1, 1, *image.shape[2:]) or not np.isfinite(answer).all():
                raise ModelError(
                    f"{self.model_dir.graph}: {name} has shape {answer.shape} for an input {image.shape}, or values "
                    "that are not finite; export the model again"
                )
        inv_depth, defocus_px, sign_logit = (answer[0, 0, :h, :w].astype(np.float32) for answer in answers)
        scale = float(np.sqrt(height * width / (h * w)))
        return NetworkMaps(small, inv_depth, np.maximum(defocus_px, 0), sign_logit, scale)

    @overload
    def predict(self, x: PhotoLike, *, fine: bool = False) -> Prediction: ...
    @overload
    def predict(self, x: list[PhotoLike] | tuple[PhotoLike, ...], *, fine: bool = False) -> list[Prediction]: ...
    def predict(
        self, x: PhotoLike | list[PhotoLike] | tuple[PhotoLike, ...], *, fine: bool = False
    ) -> Prediction | list[Prediction]:
        """Predict depth and defocus of a photo, or of each photo of a list.

        Args:
            x: a :class:`~mddnet.types.Photo`, a path, a Pillow image, an array (H, W, 3) or (H, W) of uint8 or of float
                in [0, 1]; or a list or tuple of any of them.
            fine: look a second time, at twice the size: small blur is measured better, in five times the time.

        Raises:
            ImageError: if a photo cannot be used.
        """
        if isinstance(x, list | tuple):
            return [self.predict_compact(item, fine=fine).whole() for item in x]
        return self.predict_compact(x, fine=fine).whole()

    def predict_compact(self, x: PhotoLike, *, fine: bool = False) -> CompactPrediction:
        """:meth:`predict` without maps of the photo's size, for large photos whose maps are only to be written.

        Raises:
            ImageError: if the photo cannot be used.
        """
        photo = photo_from(x)
        maps = self.network_maps(photo.pixels)
        finer_px = self._finer_defocus_px(photo.pixels, maps) if fine else None
        if finer_px is not None:
            maps = replace(maps, defocus_px=reduced(finer_px, maps.defocus_px.shape))
        texture = texture_evidence(maps.pixels)
        behind_px = coc_of_infinity_px(photo.lens) / maps.scale
        sign_logit = bounded_sign_logit(maps.sign_logit, maps.defocus_px, behind_px)
        cap_px = self.model_dir.defocus_cap_px
        fit = fit_lens_law(maps.inv_depth, maps.defocus_px, sign_logit, texture, cap_px, behind_px)
        agreement = law_agreement(maps.inv_depth, maps.defocus_px, sign_logit, fit)
        unlike = unlike_training(maps.pixels)
        if unlike:
            agreement = np.minimum(agreement, np.float32(UNKNOWN_AGREEMENT))
        log_odds = side_log_odds(maps.inv_depth, sign_logit, fit)
        side = signs(log_odds)

        fit_photo = replace(fit, kappa_px=fit.kappa_px * maps.scale, residual_px=fit.residual_px * maps.scale)
        blurred = bool((maps.defocus_px >= SHARP_PX).mean() > 0.02)
        scale = inv_depth_scale(fit_photo, photo.lens, blurred)
        notes = [*photo.notes, *scale.notes]
        if unlike:
            notes.append(unlike)
        signed_px = side * maps.defocus_px * np.float32(maps.scale)
        inv_depth, error = inv_depth_in_unit(scale, maps.inv_depth, signed_px, log_odds, maps.scale)
        if scale.unit == "1/m":
            beyond = float((inv_depth < 1.0 / MAX_DEPTH_M).mean())
            if beyond > 0:
                notes.append(f"{beyond:.1%} of the photo is at infinity or beyond; its depth is {MAX_DEPTH_M:g} m.")
            inv_depth = np.maximum(inv_depth, np.float32(0))
        clipped = float((maps.defocus_px > CLIPPED_SHARE * cap_px).mean())
        if clipped > 0:
            notes.append(
                f"{clipped:.1%} of the photo is blurred by {CLIPPED_SHARE * cap_px * maps.scale:.0f} px or more, the "
                "most that this model can tell: there the defocus is a lower limit."
            )
        defocus_px = maps.defocus_px if finer_px is None else finer_px
        return CompactPrediction(
            inv_depth=inv_depth,
            inv_depth_error=error,
            unit=scale.unit,
            defocus_px=defocus_px * np.float32(maps.scale),
            side=side,
            focus=scale.focus,
            confidence=agreement * texture,
            photo=photo,
            model=self.name,
            model_version=self.version,
            notes=tuple(notes),
            fine=fine,
        )

    def _finer_defocus_px(self, pixels: UInt8Array, maps: NetworkMaps) -> Float32Array | None:
        """The CoC by a look at twice the size where it is small, in pixels of ``maps``; None for a small photo.

        A blur of a pixel or two is hardly seen in a photo made smaller. Depth, sides and large blur are better in the
        usual look: the finer one sees less of the scene around a point.
        """
        long_side = self.model_dir.long_side
        if max(pixels.shape[:2]) <= long_side:
            return None
        fine = self.network_maps(pixels, FINE_ENLARGEMENT * long_side)
        fine_px = fine.defocus_px * np.float32(fine.scale / maps.scale)
        usual_px = enlarged(maps.defocus_px, fine_px.shape)
        share = np.clip((usual_px - FINE_BELOW_PX) / (FINE_ABOVE_PX - FINE_BELOW_PX), 0.0, 1.0)
        return (share * usual_px + (1 - share) * fine_px).astype(np.float32)


def load(
    name_or_path: str | os.PathLike[str] = "small", threads: int | None = None, *, shares_cores: bool = False
) -> Model:
    """Load a model: a shipped one by name, any other by its folder, its .zip or its name on a hub.

    Args:
        name_or_path: ``"small"``; a folder with ``config.json`` and ``model.onnx``, or a ``.zip`` of one; or
            ``"hf://owner/name"``, which is fetched from a Hugging Face hub once and then kept (extra ``hub``).
        threads: processor cores that one run uses at most; None is all.
        shares_cores: other threads have work while the network runs, such as reading and writing photos: a run alone
            takes a twentieth longer, all together are faster. The answers are the same.

    Raises:
        ModelError: if there is no such model, or it is damaged or of another format.
    """
    return Model(open_model_dir(name_or_path), threads, shares_cores=shares_cores)


def photo_from(x: PhotoLike) -> Photo:
    """The photo that any of the accepted kinds of input holds.

    Raises:
        ImageError: if it cannot be used as a photo.
    """
    if isinstance(x, Photo):
        return x
    if isinstance(x, Image.Image):
        return photo_from_image(x)
    if isinstance(x, str | os.PathLike):
        return read_photo(x)
    if isinstance(x, np.ndarray):
        return photo_from_array(x)
    raise ImageError(f"{type(x).__name__}: expected a Photo, a path, a Pillow image, an array, or a list of them")


def network_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width of the image that the network sees: the photo's shape, made smaller to ``long_side``.

    The short side stays at 32 px or more, and a photo of less than 64 px is enlarged to 64.

    Raises:
        ImageError: if the photo is more than 32 times as long as wide.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer > MAX_ASPECT * shorter:
        raise ImageError(f"{width} x {height} px: more than {MAX_ASPECT} times as long as wide; crop the photo")
    scale = min(1.0, long_side / longer) if longer >= SMALL_SIDE_PX else SMALL_SIDE_PX / longer
    scale = max(scale, MIN_SIDE_PX / shorter)
    return round(height * scale), round(width * scale)
