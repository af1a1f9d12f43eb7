"""The drivers of Intel's cards: the files of the kernel's ``i915`` and of its successor ``xe``."""

from collections.abc import Mapping
from dataclasses import dataclass

from devices._gpu.driver import Driver, Pulse, Readings
from devices._gpu.processes import Clients
from devices._gpu.sysfs import Files


@dataclass(frozen=True)
class Layout:
    """Where a kernel's driver has what.

    Attributes:
        present: The clock that the card runs at.
        least: The lowest one that may be chosen, which can be written.
        most: The highest.
        reasons: What the names of files begin with that tell why the clock is held down.
        status: The one of these that sums the others up.
    """

    present: str
    least: str
    most: str
    reasons: str
    status: str


#: ``i915`` has the clocks of the first engine in the card's folder, and since 5.19 the reasons below ``gt``.
I915 = Layout(
    "gt_act_freq_mhz",
    "gt_min_freq_mhz",
    "gt_max_freq_mhz",
    "gt/gt0/throttle_reason_",
    "gt/gt0/throttle_reason_status",
)

_XE = "device/tile0/gt0/freq0"
XE = Layout(
    f"{_XE}/act_freq",
    f"{_XE}/min_freq",
    f"{_XE}/max_freq",
    f"{_XE}/throttle/reason_",
    f"{_XE}/throttle/status",
)


class Intel(Driver):
    """An Intel card.

    Args:
        files: Its files.
        layout: Which of them are what.
        clients: Who else has it open.
    """

    def __init__(self, files: Files, layout: Layout, clients: Clients) -> None:
        self._files, self._layout, self._clients = files, layout, clients

    def pulse(self) -> Pulse:
        self._files.require_in_place()
        # 0 is the clock of an engine that sleeps (RC6).
        return Pulse(
            clock_mhz=self._files.number(self._layout.present) or None,
            throttling=self._throttling(),
            others=self._clients.busy(),
        )

    def readings(self) -> Readings:
        self._files.require_in_place()
        return Readings(temperature_c=self._files.hottest_c())

    def energy_j(self) -> float | None:
        """Return what the sensors of a card of its own tell; those in a processor have none."""
        found = self._files.found("device/hwmon/hwmon*/energy1_input")
        used_uj = self._files.number(found[0]) if found else None
        return None if used_uj is None else used_uj / 1e6

    def settings(self) -> Mapping[str, str]:
        least = self._files.text(self._layout.least)
        return {"least_mhz": least} if _is_clock(least) else {}

    def hold(self) -> bool:
        """Hold the clock at the highest one that is allowed: no lower one is known to be sustained.

        Where heat or power holds it down all the same, the card says so, and blocks do not count.
        """
        most = self._files.text(self._layout.most)
        return _is_clock(most) and self._files.write(self._layout.least, most)

    def restore(self, settings: Mapping[str, str]) -> bool:
        least = settings.get("least_mhz", "")
        return _is_clock(least) and self._files.write(self._layout.least, least)

    def _throttling(self) -> tuple[str, ...]:
        if self._files.text(self._layout.status) in ("", "0"):
            return ()
        prefix = self._layout.reasons
        found = [name for name in self._files.found(f"{prefix}*") if name != self._layout.status]
        named = [name.removeprefix(prefix) for name in found if self._files.text(name) == "1"]
        return tuple(named) or ("an unnamed limit",)


def _is_clock(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) > 0
