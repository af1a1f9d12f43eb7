"""An Android phone over ADB: who it is, what state it is in, and programs on chosen cores of it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Self

from devices import _adb, _proc
from devices._adb.reconnection import Reconnecting
from devices._adb.transport import Transport
from devices._android import identity, readiness, sensors
from devices._android.clock import Clock
from devices._android.folder import Folder, noexec_mount
from devices._android.programs import Programs
from devices._android.readiness import Fitness
from devices._android.shell import Shell
from devices._cores import CHOICES, chosen
from devices._device import Completed, DeviceInfo, DeviceState, RemoteDevice
from devices._errors import DeviceError
from devices._kinds import kinds, listed, processors
from devices.foundation import locks
from devices.foundation.text import plain

_CPU = 'cd "$R"/sys/devices/system/cpu && '
_IDENTITY = {
    "properties": "getprop",
    "kernel": "uname -sr",
    "cpuinfo": 'cat "$R"/proc/cpuinfo',
    "mounts": 'cat "$R"/proc/mounts',
    "status": 'settaskprofile $$ MaxPerformance >/dev/null; cat "$R"/proc/self/status',
    "online": _CPU + "cat online",
    "present": _CPU + "cat present",
    "kinds": _CPU
    + "grep -s . /dev/null cpu[0-9]*/cpu_capacity cpu[0-9]*/cpufreq/cpuinfo_max_freq "
    + "cpu[0-9]*/cpufreq/related_cpus",
}
_FITNESS = {
    "heat": "dumpsys thermalservice",
    "battery": "dumpsys battery",
    "saver": "cmd settings get global low_power",
}
_STATE = {
    **_FITNESS,
    "zones": 'cat "$R"/sys/class/thermal/thermal_zone*/temp',
    "load": 'cat "$R"/proc/loadavg',
    "cpuset": 'cat "$R"/proc/self/cpuset',
}

_HOW_TO_CHOOSE = f"write ?cores= and one of {', '.join(CHOICES)}"

_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*([0-9,-]{1,4096})\s*$", re.MULTILINE)


class Android(RemoteDevice):
    """An Android phone: ``android:tcp:HOST:PORT``, ``android:usb:SERIAL``, ``android:SERIAL``, ``android``.

    An address may end in ``?cores=big`` (the fastest kind, the default), ``mid``, ``little`` or ``all``:
    where programs run. Making one asks the phone who it is, and undoes what a crashed process of ours left.

    Args:
        transport: The connection; made anew where it breaks, and closed with the device.
        cores: Which processors programs run on.
        root: Where ``proc``, ``sys`` and ``data`` are; empty on a phone.
        sleep: Lets seconds pass.

    Raises:
        DeviceError: The phone cannot be measured on; the message names the remedy.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        cores: str = "big",
        root: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        connection = Reconnecting(transport)
        self._connection, self._cores, self._sleep = connection, cores, sleep
        self._shell = Shell(connection, root)
        self._reports = self._shell.texts(_IDENTITY)
        self._properties = identity.properties(self._reports["properties"])
        if noexec_mount(self._reports["mounts"]):
            raise DeviceError(
                "programs cannot run on this phone: its /data is mounted noexec; use another phone"
            )
        self._serial_hash = identity.serial_hash(self._properties)
        self._kinds = kinds(self._reports["kinds"], self._reports["cpuinfo"])
        self._processors = self._chosen()
        self._folder = Folder(connection, self._shell)
        self._programs = Programs(
            connection, self._shell, folder=self._folder.path, processors=self._processors
        )
        sdk = identity.sdk(self._properties)
        self._clock = Clock(self._shell, folder=self._folder.path, sdk=sdk)
        self._threads: int | None = None
        self._fitness_at_start: Fitness | None = None
        self._recover()

    @classmethod
    def connect(cls, address: str) -> Self:
        where, cores = _split(address)
        try:
            transport = _adb.connect(where)
        except DeviceError as error:
            if "?" not in where or not where.strip("?"):  # adb's name of a phone that it may not open
                raise
            raise type(error)(f"{error}; to choose cores, {_HOW_TO_CHOOSE}") from error
        try:
            return cls(transport, cores=cores)
        except BaseException:
            transport.close()
            raise

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """List the phones that the adb server knows; else an empty address: connecting raises why."""
        return list(dict.fromkeys(phone.address for phone in _adb.list_devices())) or [""]

    def info(self) -> DeviceInfo:
        reports, found = self._reports, self._properties
        chip = identity.chip(found) or "unknown chip"
        present = processors(reports["present"])
        kernel = plain(reports["kernel"])
        return DeviceInfo(
            kind="android",
            model=identity.model(found) or _plain_model(reports["cpuinfo"]),
            platform=f"{chip}; {self._cores_text()}",
            os_build=identity.build(found) or kernel or "unknown",
            cores=len(present) or max(self._processors) + 1,
            serial_hash=self._serial_hash,
            abi=identity.abi(found),
            kernel=kernel,
            security_patch=identity.security_patch(found),
            vendor_build=identity.vendor_build(found),
        )

    def boot_id(self) -> str:
        return self._shell.boot_id or ""

    def state(self) -> DeviceState:
        first = self._processors[0]
        scaling = {
            name: f'cat "$R"/sys/devices/system/cpu/cpu{first}/cpufreq/{name}'
            for name in ("scaling_cur_freq", "scaling_governor", "stats/time_in_state")
        }
        reports = self._shell.texts({**_STATE, **scaling})
        fitness = _fitness(reports)
        heat, battery = fitness.heat, fitness.battery
        return DeviceState(
            clock_mhz=_proc.scaling_mhz(reports["scaling_cur_freq"]),
            residency_s=_proc.residency_s(reports["stats/time_in_state"]),
            governor=plain(reports["scaling_governor"]) or None,
            is_clock_fixed=self._clock.is_fixed,
            temperature_c=heat.hottest_c or sensors.zones_c(reports["zones"].splitlines()),
            skin_c=heat.skin_c,
            thermal_status=heat.status,
            cooling=heat.cooling,
            battery_percent=battery.percent,
            battery_c=battery.temperature_c,
            is_charging=battery.is_charging,
            load=_proc.number(reports["load"].partition(" ")[0]),
            affinity=self._processors,
            cpuset=plain(reports["cpuset"]) or None,
            threads=self._threads,
        )

    def why_not_ready(self) -> str | None:
        now = _fitness(self._shell.texts(_FITNESS))
        return readiness.why_not_ready(now, self._fitness_at_start or now)

    def signs_of_heat(self) -> str | None:
        now = _fitness(self._shell.texts(_FITNESS))
        return readiness.signs_of_heat(now, self._fitness_at_start or now)

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        """Hold the clock at a point that the phone can sustain, where it has such a mode.

        Nobody else on this machine measures on the phone meanwhile. If the phone is lost, or this process
        dies, the next connection to it restores the clock.

        Raises:
            DeviceError: There are fewer such cores than threads, or somebody measures on the phone already.
        """
        if not 1 <= threads <= len(self._processors):
            raise DeviceError(
                f"{threads} threads do not fit on the {self._cores} cores "
                f"({listed(self._processors)}); ask for 1 to {len(self._processors)} threads, "
                "or for ?cores=all"
            )
        with locks.held(self._lock_name()) as is_ours:
            if not is_ours:
                raise DeviceError("another process measures on this phone now; wait until it has ended")
            self._folder.prepare()
            self._fitness_at_start = _fitness(self._shell.texts(_FITNESS))
            self._threads = threads
            try:
                with self._clock.fixed():
                    yield
            finally:
                self._threads, self._fitness_at_start = None, None

    def pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def push(self, content: bytes, *, executable: bool = False) -> str:
        return self._folder.push(content, executable=executable)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        self._folder.prepare()
        return self._programs.run(argv, timeout_s=timeout_s, environment=environment)

    def pull(self, path: str, *, max_bytes: int) -> bytes:
        return self._connection.pull(path, max_bytes=max_bytes, timeout_s=60.0)

    def scratch(self) -> AbstractContextManager[str]:
        return self._folder.scratch()

    def close(self) -> None:
        self._connection.close()

    def _chosen(self) -> tuple[int, ...]:
        """Return the processors of the chosen kind that are awake, and that the phone lets its shell use."""
        allowed = _ALLOWED.search(self._reports["status"])
        online = set(processors(self._reports["online"]))
        usable = set(processors(allowed[1])) if allowed else online
        known = {i for kind in self._kinds for i in kind}
        hidden = set(processors(self._reports["present"])) - known if known else set()
        if hidden and self._cores != "all":
            raise DeviceError(
                f"cores {listed(hidden)} of this phone hide their kind, for they are asleep: wake it, or ask "
                "for ?cores=all"
            )
        return chosen(self._kinds, self._cores, usable & online if online else usable)

    def _cores_text(self) -> str:
        """Return which cores are measured, of what kind, and whether nothing tells their clocks."""
        if not self._kinds:
            return f"cores {listed(self._processors)} of unknown kinds, no cpufreq"
        has_clocks = "/cpuinfo_max_freq:" in self._reports["kinds"]
        return f"{self._cores} cores {listed(self._processors)}" + ("" if has_clocks else ", no cpufreq")

    def _recover(self) -> None:
        """Undo what a crashed process of ours left, unless another process measures on the phone now."""
        ours = '[ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]'
        with locks.held(self._lock_name()) as is_ours:
            if is_ours and self._shell.script(ours, self._folder.path).exit_status == 0:
                self._programs.end_leftovers()
                self._folder.remove_leftovers()
                self._clock.release()

    def _lock_name(self) -> str:
        return self._shell.boot_id or self._serial_hash or "a phone without identity"


def _split(address: str) -> tuple[str, str]:
    """Return where the phone is, whose serial may hold question marks, and the cores that are chosen."""
    where, mark, cores = address.rpartition("?cores=")
    if not mark:
        return address, "big"
    if cores not in CHOICES:
        raise DeviceError(f"{cores[:64]!r} does not choose cores; {_HOW_TO_CHOOSE}")
    return where, cores


def _fitness(reports: Mapping[str, str]) -> Fitness:
    saver = reports["saver"].strip()
    return Fitness(
        sensors.heat(reports["heat"]),
        sensors.battery(reports["battery"]),
        is_saving=saver == "1" if saver in ("0", "1") else None,
    )


def _plain_model(cpuinfo: str) -> str:
    return plain(_proc.cpu_model(cpuinfo) or "") or "unknown phone"
