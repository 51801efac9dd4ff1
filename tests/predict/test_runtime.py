"""The device of the network: the one that is named is used, or an error states what is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import mddnet
from mddnet.cli.main import main
from mddnet.cli.predict import predict
from mddnet.errors import DeviceError, ModelError
from mddnet.predict.device import Device
from mddnet.predict.runtime import open_session


def providers(*names: str) -> list[str]:
    return [f"{name}ExecutionProvider" for name in names]


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


def test_the_cpu_gives_the_same_maps_as_auto(tiny_model: Path) -> None:
    one, other = (mddnet.load(tiny_model, device=device).predict(picture()) for device in ("auto", "cpu"))
    np.testing.assert_array_equal(one.inv_depth, other.inv_depth)
    np.testing.assert_array_equal(one.signed_defocus_px, other.signed_defocus_px)


@pytest.mark.parametrize(("device", "package"), [("cuda", "onnxruntime-gpu"), ("openvino", "onnxruntime-openvino")])
def test_a_device_without_its_package_names_the_package(
    tiny_model: Path, device: Device, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers("CPU"))
    with pytest.raises(DeviceError) as caught:
        mddnet.load(tiny_model, device=device)
    assert device in str(caught.value) and f"pip install {package}" in str(caught.value)


def test_an_unknown_device_is_refused(tiny_model: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        mddnet.load(tiny_model, device="gpu")  # type: ignore[call-overload, arg-type]
    assert all(name in str(caught.value) for name in ("gpu", *get_args(Device)))


@pytest.mark.parametrize("fails", [False, True])
def test_a_gpu_that_cannot_be_used_is_not_replaced_by_the_cpu(
    tiny_model: Path, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a driver or cuDNN of another version: ONNX Runtime itself then takes the CPU, or raises an error."""
    session = onnxruntime.InferenceSession

    def on_the_cpu(graph: str, options: onnxruntime.SessionOptions, providers: list[str]) -> object:
        if fails:
            raise RuntimeError("libcudnn.so.9: cannot open shared object file")
        return session(graph, options, providers=providers[-1:])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers("CUDA", "CPU"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    with pytest.raises(DeviceError) as caught:
        open_session(tiny_model / "model.onnx", "cuda")
    assert "cuDNN" in str(caught.value) and ("libcudnn.so.9" in str(caught.value)) == fails
    if not fails:
        assert open_session(tiny_model / "model.onnx", "auto").get_providers() == providers("CPU")


def test_a_copied_model_keeps_its_device(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mddnet.load(tiny_model, device="cpu")
    opened: list[str] = []

    def noted(graph: Path, device: str, *_: object, **__: object) -> onnxruntime.InferenceSession:
        opened.append(device)
        return open_session(graph, "cpu")

    monkeypatch.setattr("mddnet.predict.predictor.open_session", noted)
    copy.copy(model)
    assert opened == ["cpu"]


@pytest.mark.skipif("OpenVINOExecutionProvider" not in onnxruntime.get_available_providers(), reason="no OpenVINO")
def test_openvino_gives_the_maps_of_the_cpu() -> None:
    one, other = (mddnet.load(device=device).predict(picture()) for device in ("cpu", "openvino"))
    np.testing.assert_allclose(one.maps.inv_depth, other.maps.inv_depth, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(one.maps.defocus_px, other.maps.defocus_px, rtol=0.01, atol=0.05)


def test_the_command_has_the_same_devices_and_names_what_is_missing(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get_args(get_type_hints(predict)["device"]) == get_args(Device)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    arguments = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main([*arguments, "--device", "cpu"]) == 0
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers("CPU"))
    assert main([*arguments, "--device", "cuda"]) == 1
    assert "onnxruntime-gpu" in capsys.readouterr().err
    assert main([*arguments, "--device", "gpu"]) == 2


def test_a_damaged_graph_is_reported_once(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The session of one photo is opened by another thread."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in tiny_model.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes()[: 100 if path.suffix == ".onnx" else None])
    Image.fromarray(picture()).save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--model", str(damaged)]) == 1
    said = capsys.readouterr().err
    assert said.count("mddnet:") == 1 and "export it again" in said
    with pytest.raises(ModelError):
        mddnet.load(damaged)
