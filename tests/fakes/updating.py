"""The fake device, as a plug-in from outside whose kernel a test updates."""

from dataclasses import replace

from devices import DeviceInfo
from devices.fake import Fake

OLD, NEW = "Linux 6.18.44", "Linux 6.18.45"


class Updating(Fake):
    """Scripted hardware whose system is of the kernel ``Updating.kernel``."""

    kernel = OLD

    def info(self) -> DeviceInfo:
        return replace(super().info(), kind=__name__, os_build=self.kernel)
