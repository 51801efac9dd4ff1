"""Ratios of the speed of networks, and that they are what the documents fill in."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="contenders are ONNX graphs")
from benchmarks.fill_tables import PLACE, RESULTS
from benchmarks.speed import DEPTH_ANYTHING, DMENET, OURS, SHIPPED, Contender, network_numbers

OTHER = "OpenVINO"
MILLISECONDS = {
    (OURS, SHIPPED): [10.0, 20.0],
    (OURS, OTHER): [5.0, 10.0],
    (f"{DEPTH_ANYTHING} V2 Small", SHIPPED): [100.0, 160.0],  # 10 and 8 times as long
    (f"{DEPTH_ANYTHING} V2 Small", OTHER): [60.0, 100.0],  # 12 and 10 times
    (f"{DMENET}-like", SHIPPED): [200.0, 400.0],  # 20 times
    (f"{DMENET}-like", OTHER): [250.0, 500.0],  # slower; its fastest is 40 times as long as ours
}


def made() -> list[Contender]:
    return [
        Contender(name, runtime, "depth", 1.0, lambda: None, times) for (name, runtime), times in MILLISECONDS.items()
    ]


def test_ratios_are_medians_within_rounds() -> None:
    numbers = network_numbers(made())
    assert numbers["over_in_shipped"] == {OURS: 1, f"{DEPTH_ANYTHING} V2 Small": 9, f"{DMENET}-like": 20}
    assert numbers["over"] == {OURS: 1, f"{DEPTH_ANYTHING} V2 Small": 11, f"{DMENET}-like": 40}
    assert numbers["with_dmenet_in_shipped"] == 29 and numbers["with_dmenet"] == 51


def test_every_ratio_that_the_documents_show_is_written() -> None:
    template = (RESULTS / "templates" / "speed.md").read_text(encoding="utf-8")
    shown = {key.removeprefix("speed:").partition(".")[0] for key, _ in PLACE.findall(template)}
    assert shown <= network_numbers(made()).keys() | {"s", "memory_mb", "folder"}
