"""The cards of a machine, by what Vulkan, NVIDIA's library and the kernel say of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from devices._errors import DeviceError
from devices._gpu import vulkan
from devices._gpu.amd import Amd
from devices._gpu.cards import Card, cards, chosen
from devices._gpu.driver import Driver
from devices._gpu.intel import Intel
from devices._gpu.nvml import Nvml
from devices._gpu.processes import Family
from devices._gpu.vulkan import VulkanCard
from tests.fakes import drm
from tests.fakes.nvml import FakeNvml, library, smi_cards
from tests.fakes.vulkan import mock, swiftshader

_SWIFTSHADER = VulkanCard(
    "SwiftShader Device (Subzero)",
    0x1AE0,
    0xC0DE,
    uuid="53776966-7453-6861-6465-725555494400",
    driver="SwiftShader driver",
    is_software=True,
)
_LLVMPIPE = VulkanCard("llvmpipe (LLVM 15.0.6, 256 bits)", 0x10005, 0, is_software=True)

#: As Vulkan's drivers show the cards of ``nvidia-smi.csv`` and of the kernel's folders.
_A100 = VulkanCard(
    "NVIDIA A100-SXM4-40GB", 0x10DE, 0x20B0, "3d5a1c2e-0b1f-4c6d-9e8a-7b6c5d4e3f21", pci="0000:07:00.0"
)
_RADV = VulkanCard(
    "AMD Radeon RX 7900 XTX (RADV NAVI31)", 0x1002, 0x744C, pci="0000:03:00.0", driver="radv Mesa 24.2"
)
_AMDVLK = VulkanCard(
    "AMD Radeon RX 7900 XTX", 0x1002, 0x744C, pci="0000:03:00.0", driver="AMD open-source driver"
)
_IRIS = VulkanCard("Intel(R) Xe Graphics (TGL GT2)", 0x8086, 0x9A49, driver="Intel open-source Mesa driver")
_ADRENO = VulkanCard("Adreno 740", 0x5143, 0x43050A01)


@pytest.fixture(name="module")
def _module() -> FakeNvml:
    return FakeNvml(*smi_cards())


def addresses(found: list[Card]) -> list[str]:
    return [card.address for card in found]


def test_each_card_is_listed_once_whoever_shows_it(tmp_path: Path, module: FakeNvml) -> None:
    drm.card(tmp_path, "card0", drm.I915)
    drm.card(tmp_path, "card1", drm.AMD)
    drm.card(tmp_path, "card2", drm.XE)
    shown = [_LLVMPIPE, _RADV, _A100, _AMDVLK, _ADRENO, _IRIS, _SWIFTSHADER]
    found = cards(shown, library=Nvml(module), drm=tmp_path)
    assert {card.address: card.adapter.name for card in found} == {
        "nvidia:0": "NVIDIA A100-SXM4-40GB",
        "nvidia:1": "NVIDIA GeForce RTX 3070 Laptop GPU",
        "intel:0": "Intel(R) Xe Graphics (TGL GT2)",
        "amd:0": "AMD Radeon RX 7900 XTX (RADV NAVI31)",
        "intel:1": "INTEL 8086:e20b",
        "5143:0": "Adreno 740",
        "software:0": "SwiftShader Device (Subzero)",
        "software:1": "llvmpipe (LLVM 15.0.6, 256 bits)",
    }
    assert len(found) == 8
    assert [card.adapter.is_software for card in found] == [False] * 6 + [True] * 2
    assert module.users == 0


def test_a_card_has_the_ids_by_which_runtimes_know_it(tmp_path: Path, module: FakeNvml) -> None:
    drm.card(tmp_path, "card1", drm.AMD)
    a100, _, amd = cards([_A100, _RADV], library=Nvml(module), drm=tmp_path)
    assert (a100.adapter.uuid, a100.adapter.pci) == (f"GPU-{_A100.uuid}", "0000:07:00.0")
    assert (a100.adapter.vendor_id, a100.adapter.device_id) == (0x10DE, 0x20B0)
    assert (amd.adapter.pci, amd.adapter.device_id) == ("0000:03:00.0", 0x744C)


def test_the_platform_names_product_capability_and_memory_and_the_driver_is_apart(
    tmp_path: Path, module: FakeNvml
) -> None:
    drm.card(tmp_path, "card1", drm.AMD)
    a100, _, amd, software = cards([_RADV, _SWIFTSHADER], library=Nvml(module), drm=tmp_path)
    assert a100.platform == "nvidia 10de:20b0, compute capability 8.0, 40 GiB"
    assert a100.driver_text == "NVIDIA 535.104.05"
    assert amd.platform == "amd 1002:744c, 24 GiB"
    assert amd.driver_text == "amdgpu radv Mesa 24.2"
    assert software.platform == "software 1ae0:c0de"


def test_each_card_is_opened_by_the_driver_of_its_maker(tmp_path: Path, module: FakeNvml) -> None:
    for name, files in (("card0", drm.I915), ("card1", drm.AMD), ("card2", drm.XE)):
        drm.card(tmp_path, name, files)
    found = cards([_SWIFTSHADER], library=Nvml(module), drm=tmp_path)
    opened = {card.address: card.open(Family()) for card in found}
    assert isinstance(opened["amd:0"], Amd)
    assert isinstance(opened["intel:0"], Intel)
    assert [opened[f"intel:{i}"].pulse().clock_mhz for i in (0, 1)] == [1300, 2850]
    assert [opened[f"nvidia:{i}"].pulse().clock_mhz for i in (0, 1)] == [1095, 270]
    assert type(opened["software:0"]) is Driver
    for driver in opened.values():
        driver.close()
    assert module.users == 0


def test_the_only_real_card_needs_no_name(module: FakeNvml, tmp_path: Path) -> None:
    module.cards.pop()
    found = cards([_LLVMPIPE, _SWIFTSHADER], library=Nvml(module), drm=tmp_path)
    for address in ("", "nvidia", "nvidia:0"):
        assert chosen(address, found).adapter.name == "NVIDIA A100-SXM4-40GB"


def test_several_cards_must_be_named(module: FakeNvml, tmp_path: Path) -> None:
    found = cards([], library=Nvml(module), drm=tmp_path)
    for address, name in (("", "gpu"), ("nvidia", "gpu:nvidia")):
        with pytest.raises(
            DeviceError, match=rf"^{name} may be any of several .*: gpu:nvidia:0, gpu:nvidia:1$"
        ):
            chosen(address, found)
    assert chosen("nvidia:1", found).adapter.name == "NVIDIA GeForce RTX 3070 Laptop GPU"


def test_a_card_that_a_processor_plays_is_taken_only_where_it_is_named(tmp_path: Path) -> None:
    found = cards([_LLVMPIPE, _SWIFTSHADER], library=Nvml(FakeNvml()), drm=tmp_path)
    for address in ("", "nvidia", "nvidia:0", "software:2"):
        with pytest.raises(DeviceError, match=r"there is no card for gpu.*gpu:software:0, gpu:software:1"):
            chosen(address, found)
    assert chosen("software", found).adapter.name == "SwiftShader Device (Subzero)"
    assert chosen("software:1", found).adapter.name == "llvmpipe (LLVM 15.0.6, 256 bits)"


def test_without_any_card_the_remedy_is_named() -> None:
    with pytest.raises(DeviceError, match=r"for gpu: install its driver, and Vulkan's loader \(libvulkan1\)"):
        chosen("", [])
    with pytest.raises(DeviceError, match=r"for gpu:software: install SwiftShader .*VK_ICD_FILENAMES"):
        chosen("software", [])


@pytest.mark.parametrize(
    "address", ["0", ":0", "nvidia:", "nvidia:-1", "nvidia:0:0", "NVIDIA:0", "nvidia: 0"]
)
def test_an_address_of_another_form_is_refused(address: str, module: FakeNvml, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="gpu:nvidia:0"):
        chosen(address, cards([], library=Nvml(module), drm=tmp_path))


def test_swiftshader_is_known_for_a_played_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())
    assert vulkan.cards() == [_SWIFTSHADER]


def test_a_card_of_another_driver_is_not_taken_for_a_played_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", f"{swiftshader()}:{mock(tmp_path)}")
    found = {card.name: card for card in vulkan.cards()}
    assert set(found) == {_SWIFTSHADER.name, "Vulkan Mock Device"}
    mocked = found["Vulkan Mock Device"]
    assert (mocked.vendor_id, mocked.device_id, mocked.is_software) == (0xBA5EBA11, 0xF005BA11, False)
    assert (mocked.uuid, mocked.pci) == ("", "0000:00:00.0")


def test_a_machine_without_drivers_has_no_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "none.json"))
    assert vulkan.cards() == []
    assert cards(drm=tmp_path, library=Nvml(FakeNvml())) == []


_WITHOUT_BINDING = """
import sys
from pathlib import Path
sys.modules["pynvml"] = None
from devices._gpu.cards import cards
[card] = cards([], drm=Path("/nonexistent"))
print(card.address, card.platform, card.hint, sep="|")
"""


def test_without_nvidias_binding_a_card_is_known_and_the_remedy_is_named(tmp_path: Path) -> None:
    environment = {"LD_LIBRARY_PATH": str(library(tmp_path)), "PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", _WITHOUT_BINDING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    address, platform, hint = done.stdout.strip().split("|")
    assert (address, platform) == ("nvidia:0", "nvidia 10de:20b0, compute capability 8.0, 40 GiB")
    assert "python -m pip install 'cars-hw[nvml]'" in hint
