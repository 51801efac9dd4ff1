"""The devices that a network can run on. Kept apart from :mod:`mddnet.predict.runtime`, which is slow to import."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "openvino"]
"""``auto`` is a GPU if the installed ONNX Runtime can use one, else the CPU."""
