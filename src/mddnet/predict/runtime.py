"""Sessions of ONNX Runtime: on which device a network runs, and with how many threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import onnxruntime

from mddnet.errors import DeviceError, ModelError
from mddnet.predict.device import Device

AUTO = ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")
PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}
"""The build of ONNX Runtime that has the provider of a device; it replaces ``onnxruntime``."""
LIBRARIES = {
    "cuda": "a GPU that nvidia-smi shows, and CUDA and cuDNN of the versions that onnxruntime-gpu needs",
    "openvino": "the libraries of OpenVINO of the version that onnxruntime-openvino needs",
}
QUIET_ERRORS_ONLY = 3
REASON_CHARACTERS = 300


def check_device(device: str) -> None:
    """Raise a DeviceError, which states the fix, for an unknown device or one that this ONNX Runtime cannot use."""
    if device not in get_args(Device):
        raise DeviceError(f"device {device!r}: expected {', '.join(get_args(Device))}")
    if device != "auto" and PROVIDERS[device] not in onnxruntime.get_available_providers():
        package = PACKAGES[device]
        raise DeviceError(
            f"device {device}: the installed ONNX Runtime {onnxruntime.__version__} has no {PROVIDERS[device]}; "
            f"expected {package} in its place: pip uninstall onnxruntime, then pip install {package}; or device cpu"
        )


def open_session(
    graph: Path, device: Device = "auto", threads: int | None = None, *, shares_cores: bool = False
) -> onnxruntime.InferenceSession:
    """Open a graph on a device.

    Args:
        graph: the ONNX file.
        device: where to run it; another than ``auto`` is never replaced by the CPU.
        threads: largest number of processor cores of one run; None is all.
        shares_cores: whether other threads have work while it runs; waiting threads then do not keep their core busy.

    Raises:
        DeviceError: if the device cannot be used.
        ModelError: if ONNX Runtime cannot run the graph.
    """
    check_device(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET_ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    if shares_cores:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=_providers(device, threads))
    except Exception as error:
        # The exceptions of ONNX Runtime have no public base class.
        if device in LIBRARIES:
            raise _unusable(device, str(error)) from error
        raise ModelError(f"{graph}: not a graph that ONNX Runtime can run ({error}); export it again") from error
    if device != "auto" and session.get_providers()[0] != PROVIDERS[device]:
        raise _unusable(device, "ONNX Runtime falls back to the CPU")
    return session


def _providers(device: Device, threads: int | None) -> list[Any]:
    """The providers of a device in order of preference, with their options."""
    if device == "auto":
        available = onnxruntime.get_available_providers()
        return [name for name in AUTO if name in available]
    if device == "openvino":
        # Without a stated precision, some processors compute in bfloat16.
        options = {"device_type": "CPU", "precision": "FP32"} | (
            {} if threads is None else {"num_of_threads": str(threads)}
        )
        return [(PROVIDERS[device], options), PROVIDERS["cpu"]]
    return list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))


def _unusable(device: Device, reason: str) -> DeviceError:
    last = reason.strip().rpartition("\n")[2][:REASON_CHARACTERS]  # of many lines with places in ONNX Runtime's sources
    return DeviceError(f"device {device}: cannot be used ({last}); expected {LIBRARIES[device]}; or device cpu")
