"""The clock of a phone: held where the phone can sustain it, and the time spent at each step of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from devices._android.shell import Shell
from devices._errors import DeviceError

logger = logging.getLogger(__name__)

#: Android 11, which brought the fixed-performance mode.
_SDK_OF_MODE = 30

#: The marker outlives a crash: whoever finds it restores the phone. It is there before the mode is.
_FIX = """
: > "$1/fixed-performance" || exit 1
cmd power set-fixed-performance-mode-enabled true && exit 0
rm -f "$1/fixed-performance"; exit 1
"""
_RELEASE = """
[ ! -f "$1/fixed-performance" ] && exit 0
cmd power set-fixed-performance-mode-enabled false && rm -f "$1/fixed-performance"
"""


class Clock:
    """Holds a phone's clock steady, where the phone has a mode for that.

    Args:
        shell: The phone's shell.
        folder: Path of our folder there; the caller makes it.
        sdk: Level of the phone's interfaces.

    Attributes:
        is_fixed: Whether it is held now.
    """

    def __init__(self, shell: Shell, *, folder: str, sdk: int) -> None:
        self.is_fixed = False
        self._shell, self._folder, self._has_mode = shell, folder, sdk >= _SDK_OF_MODE

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Hold the clock until left; if the phone is lost meanwhile, the next connection releases it.

        Raises:
            DeviceError: The phone was lost.
        """
        try:
            self.is_fixed = self._has_mode and self._shell.script(_FIX, self._folder).exit_status == 0
            yield
        finally:
            self.is_fixed = False
            try:
                self.release()
            except DeviceError as error:
                # Whatever ended the measuring is the caller's news; it is usually the same.
                logger.warning("the phone's clock is restored at the next connection: %s", error)

    def release(self) -> None:
        """Let the clock go, if we hold it, or a process that crashed did.

        Raises:
            DeviceError: The phone was lost.
        """
        if self._shell.script(_RELEASE, self._folder).exit_status != 0:
            logger.warning(
                "the phone stays in its fixed-performance mode; restart it, or run "
                "`adb shell cmd power set-fixed-performance-mode-enabled false`"
            )
