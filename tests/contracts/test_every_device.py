"""What every device promises, on those that can be reached here."""

import os
from collections.abc import Iterator

import pytest

import devices
from cars_hw.testing import DeviceContract
from devices import Device, DeviceError
from tests.fakes.played_phone import PlayedPhone
from tests.fakes.sshd import sshd
from tests.fakes.vulkan import swiftshader

#: Tested on below, where they are played.
_PLAYED = ("android", "gpu", "ssh")


class TestEveryLocalDevice(DeviceContract):
    @pytest.fixture(autouse=True, params=[name for name in devices.names() if name not in _PLAYED])
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An SSH server on this machine."""
    with sshd(tmp_path_factory.mktemp("sshd")):
        yield


@pytest.mark.usefixtures("served")
class TestABoard(DeviceContract):
    """This machine, over a real sshd."""

    name = "ssh"

    def device(self) -> Device:
        return devices.connect("ssh:board")


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
