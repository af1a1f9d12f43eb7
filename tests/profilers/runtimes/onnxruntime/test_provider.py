"""Which provider and which hardware a setting means, without running anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from devices import Adapter, DeviceError
from devices.cpu import Cpu
from devices.fake import Fake
from profilers.errors import UnsupportedOperationError
from profilers.runtimes._onnxruntime.providers.plugins import is_installed, registered
from profilers.runtimes._onnxruntime.providers.provider import (
    chosen,
    cuda_number,
    provider_version,
    require_webgpu_on,
)
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.local_remote import LocalRemote

NVIDIA, AMD, GOOGLE = 0x10DE, 0x1002, 0x1AE0

FIRST = Adapter("RTX", NVIDIA, 0x2684, 0, uuid="GPU-1f2e", pci="0000:01:00.0")
SECOND = Adapter("RTX", NVIDIA, 0x2684, 1, uuid="GPU-77aa", pci="0000:02:00.0")
PLACELESS = Adapter("RTX", NVIDIA, 0x2684)
RADEON = Adapter("Radeon", AMD, 0x744C, 0, pci="0000:03:00.0")
PLAYED = Adapter("SwiftShader", GOOGLE, 0xC0DE, is_software=True)
LLVMPIPE = Adapter("llvmpipe", 0x10005, 0, is_software=True)


@dataclass
class Hardware:
    vendor_id: int
    device_id: int
    type: str = "OrtHardwareDeviceType.GPU"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Listed:
    device: Hardware
    ep_name: str = "SomeExecutionProvider"


def of(card: Adapter, *, tells_place: bool = True) -> Listed:
    metadata = {"pci_bus_id": card.pci.upper()} if tells_place else {}
    return Listed(Hardware(card.vendor_id, card.device_id, metadata=metadata))


PROCESSOR = Listed(Hardware(AMD, 0, type="OrtHardwareDeviceType.CPU"))


def test_the_card_that_is_measured_is_chosen_by_its_ids() -> None:
    listed = [PROCESSOR, of(FIRST), of(RADEON)]
    assert chosen(listed, RADEON) is listed[2]
    assert chosen(listed, None) is PROCESSOR


def test_of_equal_cards_the_one_at_its_place_on_the_bus_is_chosen() -> None:
    listed = [of(FIRST), of(SECOND)]
    assert [chosen(listed, card) for card in (SECOND, FIRST)] == listed[::-1]


def test_an_equal_card_at_another_place_on_the_bus_is_not_taken_for_a_hidden_one() -> None:
    with pytest.raises(DeviceError, match="SomeExecutionProvider does not run on RTX"):
        chosen([of(FIRST)], SECOND)


def test_a_place_on_the_bus_may_be_written_with_a_longer_domain() -> None:
    listed = [of(FIRST), of(replace(SECOND, pci="00000000:02:00.0"))]
    assert chosen(listed, SECOND) is listed[1]


def test_equal_cards_that_cannot_be_told_apart_are_refused() -> None:
    listed = [of(FIRST, tells_place=False), of(SECOND, tells_place=False)]
    with pytest.raises(DeviceError, match="does not tell which of 2 cards RTX it is"):
        chosen(listed, SECOND)


@pytest.mark.parametrize(("card", "where"), [(RADEON, "Radeon"), (None, "this processor")])
def test_hardware_that_a_provider_does_not_list_is_refused(card: Adapter | None, where: str) -> None:
    with pytest.raises(DeviceError, match=f"SomeExecutionProvider does not run on {where}"):
        chosen([of(FIRST)], card)


@pytest.mark.parametrize(
    ("card", "visible"),
    [(FIRST, [FIRST, PLAYED]), (RADEON, [RADEON, RADEON]), (PLAYED, [PLAYED, LLVMPIPE])],  # by two drivers
)
def test_webgpu_runs_on_the_only_card_that_it_can_take(card: Adapter, visible: Sequence[Adapter]) -> None:
    require_webgpu_on(card, visible)


@pytest.mark.parametrize(
    ("card", "visible", "why"),
    [
        (FIRST, [FIRST, RADEON], "does not tell whether it runs on RTX or on Radeon: let VK_DRIVER_FILES"),
        (FIRST, [FIRST, SECOND], "does not tell whether it runs on RTX or on RTX: let VK_DRIVER_FILES"),
        (PLACELESS, [PLACELESS] * 2, "does not tell whether it runs on RTX or on RTX"),
        (FIRST, [PLAYED], "Vulkan, which does not show RTX: install its driver"),
        (FIRST, [], "Vulkan, which does not show RTX: install its driver"),
        (PLAYED, [FIRST, PLAYED], "would run on RTX, not on SwiftShader: let VK_DRIVER_FILES"),
        (
            LLVMPIPE,
            [LLVMPIPE],
            "does not run on llvmpipe: let VK_DRIVER_FILES name the driver of SwiftShader",
        ),
    ],
)
def test_where_webgpu_could_take_another_card_it_is_refused(
    card: Adapter, visible: Sequence[Adapter], why: str
) -> None:
    with pytest.raises(DeviceError, match=why):
        require_webgpu_on(card, visible)


@pytest.mark.parametrize(
    ("visible", "number"),
    [(None, 1), ("1", 0), ("0,1", 1), ("1,0", 0), ("GPU-77aa", 0), ("GPU-1f2e, GPU-77", 1)],
)
def test_cuda_counts_the_cards_that_its_environment_shows(visible: str | None, number: int) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert cuda_number(SECOND, environment) == number


@pytest.mark.parametrize("visible", ["", "0", "GPU-1f2e", "GPU-", "MIG-5"])
def test_a_card_that_the_environment_hides_from_cuda_is_refused(visible: str) -> None:
    with pytest.raises(DeviceError, match=r"CUDA_VISIBLE_DEVICES hides RTX \(1\); unset it"):
        cuda_number(SECOND, {"CUDA_VISIBLE_DEVICES": visible})


def test_cuda_is_not_believed_to_count_by_places_where_its_environment_says_otherwise() -> None:
    with pytest.raises(DeviceError, match="CUDA_DEVICE_ORDER hides which card RTX is; unset it"):
        cuda_number(SECOND, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert cuda_number(SECOND, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == 1


def test_a_provider_that_nobody_installed_is_refused_with_the_package_that_brings_it() -> None:
    with pytest.raises(
        DeviceError, match=r"there is no provider warp: .*cpu.*; pip install onnxruntime-ep-warp"
    ):
        provider_version("warp")
    with pytest.raises(DeviceError, match="pip install onnxruntime-ep-nv-tensorrt-rtx"):
        OnnxRuntime(provider="tensorrt-rtx").version(Cpu.connect(""))


def test_a_module_that_no_package_brought_is_never_loaded(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("here")
    (folder / "onnxruntime_ep_lab.py").write_text("raise SystemExit('loaded')")
    monkeypatch.syspath_prepend(str(folder))
    assert not is_installed("onnxruntime_ep_lab")
    assert registered("onnxruntime_ep_lab", []) == []


def test_providers_of_cards_are_refused_on_a_processor_and_on_a_phone(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="provider cuda runs on graphics cards; use gpu"):
        next(OnnxRuntime(provider="cuda").executed_each([], Cpu.connect("")))
    with pytest.raises(DeviceError, match="provider webgpu is not for phones; use cpu, xnnpack"):
        OnnxRuntime(provider="webgpu").version(LocalRemote(tmp_path))
    with pytest.raises(DeviceError, match="not on fake"):
        OnnxRuntime(provider="webgpu").version(Fake.connect(""))


def test_the_cold_mode_is_refused_where_there_is_no_card() -> None:
    with pytest.raises(DeviceError, match="mode cold is for cards; on cpu, leave it out"):
        OnnxRuntime(mode="cold").version(Cpu.connect(""))


def test_what_makes_latencies_incomparable_is_part_of_the_header_where_it_is_not_the_default() -> None:
    assert OnnxRuntime().header_settings() == {}
    settings = OnnxRuntime(provider="webgpu", batch=8, mode="cold").header_settings()
    assert settings == {"provider": "webgpu", "batch": 8, "mode": "cold"}


def test_what_a_provider_that_compiles_networks_executes_is_not_shown() -> None:
    with pytest.raises(UnsupportedOperationError, match="does not show what provider tensorrt-rtx executes"):
        OnnxRuntime(provider="tensorrt-rtx").counter(lambda spec: pytest.fail("nothing is built"))
