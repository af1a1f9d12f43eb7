"""The way to a phone: Android's debug bridge, through an adb server or to the daemon itself."""

from devices._adb.listing import ListedDevice
from devices._adb.server import list_devices
from devices._adb.transport import Transport, connect, link_to, quoted

__all__ = ["ListedDevice", "Transport", "connect", "link_to", "list_devices", "quoted"]
