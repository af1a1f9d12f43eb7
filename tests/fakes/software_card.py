"""A graphics card that a processor plays: SwiftShader, which Debian's chromium brings, under WebGPU."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import devices
from devices import Accelerator
from tests.fakes.environments import demand

DRIVER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


def software_card(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    """Return the card; where it or its provider is not there, skip the test, or fail as ``demand`` says."""
    is_there = DRIVER.exists() and find_spec("onnxruntime_ep_webgpu") is not None
    remedy = "apt-get install chromium libvulkan1, pip install onnxruntime-ep-webgpu"
    demand("webgpu", is_there=is_there, remedy=remedy)
    monkeypatch.setenv("VK_ICD_FILENAMES", str(DRIVER))
    demand("webgpu", is_there="gpu:software:0" in devices.addresses("gpu"), remedy=remedy)
    card = devices.connect("gpu:software")
    assert isinstance(card, Accelerator)
    return card
