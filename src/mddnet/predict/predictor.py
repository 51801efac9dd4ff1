"""From a photo to its maps, with ONNX Runtime alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from mddnet.capture.photo import MIN_SIDE_PX, photo_from_array, photo_from_image, read_photo
from mddnet.errors import ImageError, ModelError
from mddnet.predict.dioptres import MAX_DEPTH_M, finite_depth_m, inv_depth_scale
from mddnet.predict.lens_law_fit import fit_lens_law, law_agreement, signs
from mddnet.predict.model_dir import INPUT_NAME, OUTPUT_NAMES, ModelDir, open_model_dir
from mddnet.predict.prediction import Prediction
from mddnet.predict.texture import texture_evidence
from mddnet.types import Float32Array, Photo, UInt8Array

SMALL_SIDE_PX = 64
"""A photo whose long side is shorter than this is enlarged to it; nothing else is ever enlarged."""
MAX_ASPECT = 32
CLIPPED_SHARE = 0.5
"""A CoC above this share of the model's cap may be any larger one: the shipped model, whose cap is 80 px, answers 32 px
to a disc of 32 px, but 41 px to one of 48 px (docs/depth-from-blur.md)."""
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

    def __init__(self, model_dir: ModelDir, threads: int | None = None) -> None:
        """Load the graph of a model folder; ``threads`` limits the processor cores that one run uses.

        Raises:
            ModelError: if the graph is damaged or has other inputs or outputs than a model of mddnet.
        """
        self.model_dir = model_dir
        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET_ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
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

    def network_maps(self, pixels: UInt8Array) -> NetworkMaps:
        """Run the network once on an image made small enough, and give its maps as they are.

        Args:
            pixels: (H, W, 3) uint8, sRGB-encoded.

        Raises:
            ImageError: if the image is more than 32 times as long as wide.
            ModelError: if the network answers with NaN or infinity, or another shape.
        """
        height, width = pixels.shape[:2]
        h, w = network_size(height, width, self.model_dir.long_side)
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
    def predict(self, x: PhotoLike) -> Prediction: ...
    @overload
    def predict(self, x: list[PhotoLike] | tuple[PhotoLike, ...]) -> list[Prediction]: ...
    def predict(self, x: PhotoLike | list[PhotoLike] | tuple[PhotoLike, ...]) -> Prediction | list[Prediction]:
        """Predict depth and defocus of a photo, or of each photo of a list.

        Args:
            x: a :class:`~mddnet.types.Photo`, a path, a Pillow image, an array (H, W, 3) or (H, W) of uint8 or of float
                in [0, 1]; or a list or tuple of any of them.

        Raises:
            ImageError: if a photo cannot be used.
        """
        if isinstance(x, list | tuple):
            return [self._predict(photo_from(item)) for item in x]
        return self._predict(photo_from(x))

    def _predict(self, photo: Photo) -> Prediction:
        maps = self.network_maps(photo.pixels)
        texture = texture_evidence(maps.pixels)
        fit = fit_lens_law(maps.inv_depth, maps.defocus_px, maps.sign_logit, texture, self.model_dir.defocus_cap_px)
        agreement = law_agreement(maps.inv_depth, maps.defocus_px, maps.sign_logit, fit)
        side = signs(maps.inv_depth, maps.sign_logit, fit)

        fit_photo = replace(fit, kappa_px=fit.kappa_px * maps.scale, residual_px=fit.residual_px * maps.scale)
        scale = inv_depth_scale(fit_photo, photo.lens)
        notes = [*photo.notes, *scale.notes]
        small_inv_depth = maps.inv_depth * np.float32(scale.gain) + np.float32(scale.offset)
        if scale.unit == "1/m":
            beyond = float((small_inv_depth < 1.0 / MAX_DEPTH_M).mean())
            if beyond > 0:
                notes.append(f"{beyond:.1%} of the photo is at infinity or beyond; its depth is {MAX_DEPTH_M:g} m.")
            small_inv_depth = np.maximum(small_inv_depth, np.float32(0))
        cap_px = self.model_dir.defocus_cap_px
        clipped = float((maps.defocus_px > CLIPPED_SHARE * cap_px).mean())
        if clipped > 0:
            notes.append(
                f"{clipped:.1%} of the photo is blurred by {CLIPPED_SHARE * cap_px * maps.scale:.0f} px or more, the "
                "most that this model can tell: there the defocus is a lower limit."
            )

        size = photo.pixels.shape[:2]
        inv_depth = _enlarged(small_inv_depth, size)
        defocus_px = _enlarged(maps.defocus_px * np.float32(maps.scale), size)
        # The sign is enlarged apart: between +8 and -8 px the CoC is 8 px, and nothing there is sharp.
        signed_defocus_px = np.copysign(defocus_px, _enlarged(side, size))
        return Prediction(
            inv_depth=inv_depth,
            unit=scale.unit,
            depth_m=finite_depth_m(inv_depth) if scale.unit == "1/m" else None,
            defocus_px=defocus_px,
            signed_defocus_px=signed_defocus_px,
            focus=scale.focus,
            confidence=_enlarged(agreement * texture, size),
            photo=photo,
            model=self.name,
            model_version=self.version,
            notes=tuple(notes),
        )


def load(name_or_path: str | os.PathLike[str] = "small", threads: int | None = None) -> Model:
    """Load a model: a shipped one by name, any other by its folder, its .zip or its name on a hub.

    Args:
        name_or_path: ``"small"``; a folder with ``config.json`` and ``model.onnx``, or a ``.zip`` of one; or
            ``"hf://owner/name"``, which is fetched from a Hugging Face hub once and then kept (extra ``hub``).
        threads: processor cores that one run uses at most; None is all.

    Raises:
        ModelError: if there is no such model, or it is damaged or of another format.
    """
    return Model(open_model_dir(name_or_path), threads)


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


def _enlarged(values: Float32Array, size: tuple[int, ...]) -> Float32Array:
    """A map at (H, W), bilinear; pixel centres are kept, so both maps and photo lie on one another.

    A guided filter (He et al., 2010) on the photo was tried on 18 Middlebury disparity maps at a quarter of their
    size: mean error near depth edges 5.6 % of the range against 4.6 % for bilinear, away from them 0.7 % against 0.3 %.
    """
    if values.shape == size:
        return values
    height, width = size
    picture = Image.fromarray(np.ascontiguousarray(values)).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(picture)
