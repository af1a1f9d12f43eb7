"""What every device promises, on those that can be reached here."""

import os

import pytest

import devices
from cars_hw.testing import DeviceContract
from devices import Device, DeviceError
from tests.fakes.played_phone import PlayedPhone
from tests.fakes.vulkan import swiftshader


class TestEveryLocalDevice(DeviceContract):
    @pytest.fixture(autouse=True, params=[name for name in devices.names() if name not in ("android", "gpu")])
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param

    def device(self) -> Device:
        try:
            return super().device()
        except DeviceError as error:
            pytest.skip(f"{self.name}: {error}")


class TestAPlayedPhone(DeviceContract):
    name = "android"

    @pytest.fixture(autouse=True)
    def _play(self, phone: PlayedPhone) -> None:
        self.phone = phone

    def device(self) -> Device:
        return self.phone.device()


class TestAPlayedCard(DeviceContract):
    name = "gpu"

    @pytest.fixture(autouse=True)
    def _play(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VK_ICD_FILENAMES", swiftshader())

    def device(self) -> Device:
        return devices.connect("gpu:software")


@pytest.mark.gpu
class TestACard(DeviceContract):
    """The only card here; where there are several, none of them."""

    name = "gpu"

    def device(self) -> Device:
        try:
            return super().device()
        except DeviceError as error:
            pytest.skip(f"gpu: {error}")


@pytest.mark.phone
class TestAPhone(DeviceContract):
    """A phone that is plugged in is tested on only where ``ANDROID_SERIAL`` offers it."""

    name = "android"

    def device(self) -> Device:
        if "ANDROID_SERIAL" not in os.environ:
            pytest.skip("android: no phone is offered by ANDROID_SERIAL")
        return super().device()
