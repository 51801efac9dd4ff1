"""Prediction of the maps of a photo with ONNX Runtime."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from mddnet.errors import ImageError, ModelError
from mddnet.io.json_fields import display
from mddnet.model.folder import shipped_root
from mddnet.photo.reader import photo_from_array, photo_from_image, read_photo
from mddnet.photo.samples import MIN_SIDE_PX, check_size
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.confidence import with_expected_errors
from mddnet.predict.cues import photo_cues
from mddnet.predict.depth_prior import PriorSource, prior_of, with_prior
from mddnet.predict.device import Device
from mddnet.predict.fusion import Fusion, FusionInput, fuse
from mddnet.predict.judge import verdict_of
from mddnet.predict.model_dir import INPUT_NAME, MAP_NAMES, OUTPUT_NAMES, ModelDir, open_model_dir
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.predict.resampling import box_downsampled
from mddnet.predict.runtime import open_session
from mddnet.predict.verdict import UNKNOWN, Verdict
from mddnet.types import MAP_STRIDE, Photo, UInt8Array

MIN_LONG_SIDE_PX = 64  # smallest long side of the network's image
LARGEST_UPSAMPLING = 2.0
"""A smaller photo is upsampled by up to this factor: blur of a pixel or two is hardly visible to the network."""
TOP_PADDING_PX = 32
"""Reflected rows above the network's image: in its own first rows, sharp photos get specks of strong blur."""
MAX_ASPECT = 32
REFINE_SCALE = 2
"""Resolution of the second pass over that of the first."""
REFINE_BELOW_PX, REFINE_ABOVE_PX = 4.0, 8.0
"""The CoC is that of the second pass below 4 px of the first pass's image, that of the first pass above 8 px."""

PhotoLike = Photo | str | os.PathLike[str] | Image.Image | NDArray[Any]


class Model:
    """A trained network, ready to predict.

    Example:
        >>> model = mddnet.load()  # doctest: +SKIP
        >>> model.predict("cup.jpg").save("out/")  # doctest: +SKIP
    """

    def __init__(
        self,
        model_dir: ModelDir,
        threads: int | None = None,
        *,
        device: Device = "auto",
        shares_cores: bool = False,
        session: Future[onnxruntime.InferenceSession] | None = None,
    ) -> None:
        """Load the graph of a model folder; the arguments are those of :func:`load`.

        ``session`` is one of this graph and these arguments that another thread opens.

        Raises:
            DeviceError: if the device cannot be used.
            ModelError: if the graph is damaged or has other inputs or outputs than a model of mddnet.
        """
        self.model_dir = model_dir
        shipped = model_dir.folder.parent == shipped_root()
        reference = model_dir.folder.name if shipped else str(model_dir.folder.resolve())
        self._loaded_by = partial(load, reference, threads, device=device, shares_cores=shares_cores)
        opened = (
            session.result() if session else open_session(model_dir.graph, device, threads, shares_cores=shares_cores)
        )
        _check_names(opened, model_dir.graph)
        self._session = opened

    def __reduce__(self) -> tuple[Any, ...]:
        """A model is pickled and copied as its name or the path of its folder, from which it is loaded again."""
        return self._loaded_by, ()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model_dir.name

    @property
    def version(self) -> str:
        """Version of its weights."""
        return self.model_dir.version

    def network_maps(self, pixels: UInt8Array, long_side: int | None = None) -> FusionInput:
        """Run the network once on a resized image, and return its maps before the fusion.

        Args:
            pixels: (H, W, 3) uint8, sRGB-encoded.
            long_side: long side of the network's image, pixels (:func:`network_size`); None is the model's default.

        Raises:
            ImageError: if the aspect ratio is above 32.
            ModelError: if the output is not finite or has another shape.
        """
        height, width = pixels.shape[:2]
        h, w = network_size(height, width, long_side or self.model_dir.long_side)
        small = pixels
        if (h, w) != (height, width):
            resized = Image.fromarray(pixels).resize((w, h), Image.Resampling.LANCZOS, reducing_gap=3.0)
            small = np.asarray(resized)
        m = self.model_dir.multiple
        padded = np.pad(small, ((TOP_PADDING_PX, -h % m), (0, -w % m), (0, 0)), mode="reflect")
        image = padded.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255.0)  # (1, 3, h', w')
        try:
            *outputs, camera = self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: image})
        except Exception as error:
            # ONNX Runtime has its own exceptions, including one for an accelerator that is out of memory.
            raise ModelError(f"{self.model_dir.graph}: cannot run on an input {image.shape} ({error})") from error
        expected = (1, 1, image.shape[2] // MAP_STRIDE, image.shape[3] // MAP_STRIDE)
        for name, output in zip(MAP_NAMES, outputs, strict=True):
            if output.shape != expected or not np.isfinite(output).all():
                raise ModelError(
                    f"{self.model_dir.graph}: {name} has shape {output.shape} for an input {image.shape}, expected "
                    f"{expected}, or values that are not finite; export the model again"
                )
        if camera.shape != (1, 4) or not np.isfinite(camera).all():
            raise ModelError(
                f"{self.model_dir.graph}: camera is {camera.tolist()}, expected (1, 4) finite values; "
                "export the model again"
            )
        top, columns = TOP_PADDING_PX // MAP_STRIDE, -(-w // MAP_STRIDE)
        bottom = top - (-h // MAP_STRIDE)
        depth, depth_log_sigma, coc_px, coc_log_sigma, sign_logit = (
            output[0, 0, top:bottom, :columns].astype(np.float32) for output in outputs
        )
        scale = float(np.sqrt(height * width / (h * w)))
        estimate = CameraEstimate.from_network(camera[0], self.model_dir.camera_error)
        coc_px = np.maximum(coc_px, 0)
        return FusionInput(depth, depth_log_sigma, coc_px, coc_log_sigma, sign_logit, small, scale, estimate)

    @overload
    def predict(self, x: PhotoLike, *, refine: bool = False, depth_prior: PriorSource | None = None) -> Prediction: ...
    @overload
    def predict(
        self,
        x: list[PhotoLike] | tuple[PhotoLike, ...],
        *,
        refine: bool = False,
        depth_prior: PriorSource | None = None,
    ) -> list[Prediction]: ...
    def predict(
        self,
        x: PhotoLike | list[PhotoLike] | tuple[PhotoLike, ...],
        *,
        refine: bool = False,
        depth_prior: PriorSource | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict depth and defocus of a photo, or of each photo of a list.

        Args:
            x: a :class:`~mddnet.types.Photo`, a path, a Pillow image (its current frame), an array (H, W, 3) or (H, W)
                of uint8 or of float in [0, 1]; or a list or tuple of any of them.
            refine: add a second pass at twice the resolution; improves blur below 4 px and takes five times as long.
            depth_prior: depth by another network or tool, which is fused with the blur in place of the network's own:
                (H, W) inverse depth, larger is nearer, of any size with the photo's aspect ratio; a file of it; a
                :class:`~mddnet.predict.depth_prior.DepthPrior`; or a function that gives one of these for (H, W, 3)
                uint8 pixels.

        Raises:
            ImageError: if a photo or a depth prior cannot be used.
        """
        if isinstance(x, list | tuple):
            return [self._predicted(photo_from(item), refine, depth_prior) for item in x]
        return self._predicted(photo_from(x), refine, depth_prior)

    def _predicted(self, photo: Photo, refine: bool, source: PriorSource | None) -> Prediction:
        prior = None if source is None else prior_of(source, photo.pixels)
        network = self.network_maps(photo.pixels)
        if refine:
            network = self._refined(photo.pixels, network)
        notes = list(photo.notes)
        if prior is not None:
            network, of_prior = with_prior(network, prior, photo.lens)
            notes += of_prior
        fused = fuse(network, photo.lens, self.model_dir.defocus_cap_px, self.model_dir.metric_errors)
        unit = fused.unit
        maps, verdict = self._assessed(photo, network, fused, of_prior=prior is not None)
        if prior is not None and prior.unit == "1/m" and unit == "relative":
            maps, unit = replace(maps, inv_depth_error=fused.inv_depth_sigma), prior.unit
            notes.append(f"Metres are those of {prior.source}.")
        return Prediction(
            maps, unit, fused.focus, photo, self.name, self.version, (*notes, *fused.notes), refine, network.camera,
            None if prior is None else prior.source, verdict,
        )  # fmt: skip

    def _assessed(
        self, photo: Photo, network: FusionInput, fused: Fusion, *, of_prior: bool
    ) -> tuple[SmallMaps, Verdict]:
        """The maps with expected errors, and the verdict, if the model is calibrated."""
        calibration = self.model_dir.calibration
        if calibration is None:
            return fused.maps, UNKNOWN
        half_depth = self.network_maps(photo.pixels, max(network.photo.shape) // 2).depth
        cues = photo_cues(network, fused, half_depth)
        verdict = verdict_of(calibration, cues, network, fused, photo.computed_bokeh, of_prior)
        score = calibration.depth.score.of_photo(cues)
        return with_expected_errors(calibration, network, fused, half_depth, score), verdict

    def _refined(self, pixels: UInt8Array, first: FusionInput) -> FusionInput:
        """The first pass with small CoCs of a second one at a higher resolution.

        Blur of a pixel or two is hardly visible in a downsampled photo. Depth, sign and large blur are better in the
        first pass, which sees more of the scene around a point.
        """
        height, width = pixels.shape[:2]
        long_side = REFINE_SCALE * self.model_dir.long_side
        if network_size(height, width, long_side) == first.photo.shape[:2]:
            return first  # a photo so small that the first pass has all its pixels
        second = self.network_maps(pixels, long_side)
        second_px = box_downsampled(second.coc_px, first.coc_px.shape) * np.float32(second.scale / first.scale)
        share = np.clip((first.coc_px - REFINE_BELOW_PX) / (REFINE_ABOVE_PX - REFINE_BELOW_PX), 0.0, 1.0)
        return replace(first, coc_px=(share * first.coc_px + (1 - share) * second_px).astype(np.float32))


def load(
    name_or_path: str | os.PathLike[str] = "small",
    threads: int | None = None,
    *,
    device: Device = "auto",
    shares_cores: bool = False,
) -> Model:
    """Load a shipped model by its name, or another model by its folder, .zip or hub name.

    Args:
        name_or_path: ``"small"``; a folder with ``config.json`` and ``model.onnx``, or a ``.zip`` of one; or
            ``"hf://owner/name"``, which is downloaded from a Hugging Face hub once and cached (extra ``hub``).
        threads: largest number of processor cores of one run; None is all.
        device: ``"cpu"``, ``"cuda"`` (needs the package onnxruntime-gpu), ``"openvino"`` (onnxruntime-openvino), or
            ``"auto"``, a GPU if the installed ONNX Runtime can use one, else the CPU.
        shares_cores: whether other threads have work while the network runs, such as reading and writing photos. A
            single run takes 5 % longer; all threads together are faster. The results are the same.

    Raises:
        DeviceError: if the device cannot be used; the message states what is missing.
        ModelError: if there is no such model, or it is damaged or of another format.
    """
    return Model(open_model_dir(name_or_path), threads, device=device, shares_cores=shares_cores)


def photo_from(x: PhotoLike) -> Photo:
    """Convert any accepted input to a photo; ImageError if that is not possible."""
    if isinstance(x, Photo):
        _check_photo(x)
        return x
    if isinstance(x, Image.Image):
        return _photo_at_current_frame(x)
    if isinstance(x, str | os.PathLike):
        return _photo_at_path(x)
    if isinstance(x, np.ndarray):
        return photo_from_array(x)
    raise ImageError(f"{type(x).__name__}: expected a Photo, a path, a Pillow image, an array, or a list of them")


def _photo_at_path(path: str | os.PathLike[str]) -> Photo:
    try:
        if not Path(path).is_dir():
            return read_photo(path)
    except OSError as error:  # of a name that no file can have; others are ImageErrors
        raise ImageError(f"{display(os.fspath(path))}: {error.strerror}; expected an image file") from error
    raise ImageError(
        f"{os.fspath(path)}: a folder; expected a photo: predict([*Path(folder).glob('*.jpg')]) for all in it, or "
        "`mddnet predict` with the folder"
    )


def _photo_at_current_frame(image: Image.Image) -> Photo:
    """A photo of a Pillow image, whose path is that of the file if it is the first frame; ImageError if closed."""
    if _is_closed(image):
        raise ImageError(
            f"{getattr(image, 'filename', '') or image}: a closed Pillow image; predict before it is closed"
        )
    try:
        getattr(image, "is_animated", False)  # which counts the frames of a GIF
    except ValueError:
        image = image.copy()  # its file was closed after its pixels were read
    photo = photo_from_image(image)
    return photo if image.tell() == 0 else replace(photo, path=None)  # the file stands for its first frame only


def _check_photo(photo: Photo) -> None:
    pixels, name = photo.pixels, f"the photo {photo.path or ''}".strip()
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        found = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ImageError(f"{name}: pixels are {found}; expected uint8 (H, W, 3): predict() converts other arrays")
    height, width = pixels.shape[:2]
    check_size(height, width, name, height * width, least=MIN_SIDE_PX)


def _is_closed(image: Image.Image) -> bool:
    """Whether the pixels of an image can no longer be read: its file was closed before, or itself after reading."""
    if getattr(image, "tile", None) and getattr(image, "fp", None) is None:
        return True
    try:
        image.im  # noqa: B018 (Pillow raises on access)
    except ValueError:
        return True
    except AssertionError:
        return False  # not read yet
    return False


def network_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width of the network's image: the size of the photo, resized to ``long_side``.

    A photo is upsampled by a factor of at most 2, but its short side to at least 32 px, and its long side to at least
    64 px. ImageError for an aspect ratio above 32.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer > MAX_ASPECT * shorter:
        raise ImageError(f"{width} x {height} px: more than {MAX_ASPECT} times as long as wide; crop the photo")
    scale = max(min(LARGEST_UPSAMPLING, long_side / longer), MIN_LONG_SIDE_PX / longer, MIN_SIDE_PX / shorter)
    return round(height * scale), round(width * scale)


def _check_names(session: onnxruntime.InferenceSession, graph: Path) -> None:
    """ModelError if a graph has other inputs or outputs than a model of mddnet."""
    inputs = {node.name for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    if inputs != {INPUT_NAME} or not outputs.issuperset(OUTPUT_NAMES):
        raise ModelError(
            f"{graph}: inputs {sorted(inputs)}, outputs {sorted(outputs)}; expected {INPUT_NAME} and "
            f"{', '.join(OUTPUT_NAMES)}: export the model again"
        )
