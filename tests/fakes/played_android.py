"""A played phone behind a real adb daemon, as a device for the command line: a plug-in from outside.

``--device tests.fakes.played_android:tcp:HOST:PORT`` connects as ``--device android:tcp:HOST:PORT`` does; the
environment variable ``CARS_HW_PLAYED_PHONE`` says below which folder the phone is. Its tables say whose they
are: no table of a played phone passes for one of a phone.
"""

import os
from dataclasses import replace
from typing import Self

from devices import _adb
from devices._device import DeviceInfo
from devices.android import Android


class PlayedAndroid(Android):
    """An Android device below a folder."""

    @classmethod
    def connect(cls, address: str) -> Self:
        """Connect to the daemon at ``address``, and to the phone that the environment names."""
        return cls(_adb.connect(address), root=os.environ["CARS_HW_PLAYED_PHONE"])

    def info(self) -> DeviceInfo:
        """Return the phone's identity, as a played one's."""
        return replace(super().info(), kind=__name__)
