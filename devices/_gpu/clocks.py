"""The clock of a card, held while it is measured, and let go after a crash too.

What stood there before is written to a file first. Whoever opens the card next, finds the file and nobody
measuring, sets it again.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devices._errors import DeviceError
from devices._gpu.driver import Driver
from devices.foundation.files import read_regular
from devices.foundation.locks import held
from devices.foundation.temporaries import replace_file

logger = logging.getLogger(__name__)

_MAX_BYTES = 4096

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Clocks:
    """Holds a card's clock, where that is permitted.

    Args:
        driver: The card's driver.
        name: By which processes of this machine know the card.
        record: The file that tells what to set again.
        boot: The file that names the machine's boot; settings of an earlier one are gone with it.

    Attributes:
        is_held: Whether it is held now.
    """

    def __init__(self, driver: Driver, *, name: str, record: Path, boot: Path = _BOOT) -> None:
        self.is_held = False
        self._driver, self._name, self._record, self._boot = driver, name, record, boot

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the clock until left; nobody else on this machine measures on the card meanwhile.

        Raises:
            DeviceError: Somebody does already, or the card is gone.
            StorageError: This machine does not let us keep a file for it.
        """
        with held(self._name) as is_ours:
            if not is_ours:
                raise DeviceError("another process measures on this card now; wait until it has ended")
            self._recover()
            # What a crashed process left and could not be set again stays written down, in place of ours.
            settings = {} if self._record.exists() else self._driver.settings()
            if not settings or not self._remember(settings):
                yield
                return
            try:
                self.is_held = self._driver.hold()
                if not self.is_held:
                    self._forget()
                yield
            finally:
                if self.is_held:
                    self._let_go(settings)

    def are_held(self) -> bool:
        """Tell whether the clock is held now, by this process or the one that it measures for."""
        return self.is_held or self._record.exists()

    def recover(self) -> None:
        """Let the clock go that a process left held which was killed, unless another measures now."""
        if self._record.exists():
            with held(self._name) as is_ours:
                if is_ours:
                    self._recover()

    def _recover(self) -> None:
        try:
            found = json.loads(read_regular(self._record, _MAX_BYTES))
            boot, settings = found["boot"], {str(key): str(value) for key, value in found["settings"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            logger.warning(
                "%s cannot be read (%s): whether the clock of a card is still held is not known; "
                "restart the machine, then delete that file",
                self._record,
                error,
            )
            return
        if boot and boot != self._boot_id():
            self._forget()
        elif self._driver.restore(settings):
            logger.warning("the clock of this card was still held by a process that was killed; it is let go")
            self._forget()
        else:
            self._warn()

    def _remember(self, settings: Mapping[str, str]) -> bool:
        """Write down what stands there; where that cannot be done, nothing is changed."""
        content = json.dumps({"boot": self._boot_id(), "settings": dict(settings)}).encode()
        try:
            replace_file(self._record, content)
        except OSError as error:
            logger.warning("the card's clock is not held: %s cannot be written (%s)", self._record, error)
            return False
        return True

    def _let_go(self, settings: Mapping[str, str]) -> None:
        self.is_held = False
        try:
            if self._driver.restore(settings):
                self._forget()
            else:
                self._warn()
        except DeviceError as error:
            # Whatever ended the measuring is the caller's news; it is usually the same.
            logger.warning("the card's clock is let go when it is opened next: %s", error)

    def _forget(self) -> None:
        try:
            self._record.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s cannot be deleted (%s); delete it", self._record, error)

    def _warn(self) -> None:
        logger.warning(
            "the card's clock stays held, for the driver refuses: open it as the user that held it, "
            "or restart the machine"
        )

    def _boot_id(self) -> str:
        try:
            return read_regular(self._boot, _MAX_BYTES).decode("ascii", "replace").strip()
        except OSError:
            return ""
