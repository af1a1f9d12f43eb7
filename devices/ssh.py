"""A Linux board over SSH: who it is, what state it is in, and programs on chosen cores of it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Self
from urllib.parse import parse_qsl

from devices import _proc
from devices._cores import CHOICES, chosen
from devices._device import Completed, Conversation, DeviceInfo, DeviceState, RemoteHost
from devices._errors import DeviceError
from devices._kinds import kinds, listed, processors
from devices._linux import folder, identity, readiness, sensors
from devices._linux import reports as asked
from devices._linux.clock import Clock
from devices._linux.folder import Folder
from devices._linux.programs import Programs
from devices._linux.readiness import Fitness
from devices._linux.shell import Shell
from devices._ssh import transfer
from devices._ssh.connection import Connection
from devices.foundation import locks
from devices.foundation.text import plain

_HOW_TO_CHOOSE = f"write ?cores= and one of {', '.join(CHOICES)}"

#: Makers sort the chips of one cluster by quality, and clock the cores a tenth apart.
_FAVOUR = 1.13

#: What the board reports is asked for again after so long: entries that end together share it.
_REPORT_S = 0.1

_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*([0-9,-]{1,4096})\s*$", re.MULTILINE)


class Ssh(RemoteHost):
    """A Linux board: ``ssh:HOST``, ``ssh:USER@HOST``, ``ssh:HOST?cores=big&python=/opt/venv/bin/python``.

    ``cores`` is ``big`` (the fastest kind, the default), ``mid``, ``little`` or ``all``: where programs run.
    ``python`` is what programs of ours run under there. Making one asks the board who it is, and undoes what
    a crashed process of ours left.

    Args:
        connection: The connection; made anew where it breaks, and closed with the device.
        cores: Which processors programs run on.
        python: The board's Python.
        machine: What tells apart what several machines leave on one board; empty: this machine's own.
        root: Where ``proc``, ``sys`` and ``etc`` are; empty on a board.
        sleep: Lets seconds pass.

    Raises:
        DeviceError: The board cannot be measured on; the message names the remedy.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        cores: str = "big",
        python: str = "python3",
        machine: str = "",
        root: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection, self._cores, self._python, self._sleep = connection, cores, python, sleep
        self._shell = Shell(connection, root)
        self._reports = self._shell.texts(asked.IDENTITY)
        self._serial_hash = identity.serial_hash(self._reports["serial"], self._reports["machine_id"])
        self._kinds = kinds(self._reports["kinds"], self._reports["cpuinfo"], step=_FAVOUR)
        self._processors = self._chosen()
        path, ours = _our_folder(self._reports["folder"]), machine or folder.this_machine()
        self._folder = Folder(connection, self._shell, path, ours)
        self._programs = Programs(
            connection, self._shell, files=f"{path}/{ours}", processors=self._processors
        )
        self._clock = Clock(self._shell, record=f"{path}/{ours}.governors", processors=self._processors)
        self._threads: int | None = None
        self._reported: tuple[float, DeviceState] | None = None
        self._fitness_at_start: Fitness | None = None
        self._recover()

    @classmethod
    def connect(cls, address: str) -> Self:
        host, cores, python = _split(address)
        connection = Connection(host)
        try:
            return cls(connection, cores=cores, python=python)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """List nothing: who may be measured on is not for us to find out; name a board by its address."""
        return ()

    def info(self) -> DeviceInfo:
        reports = self._reports
        present = processors(reports["present"])
        return DeviceInfo(
            kind="ssh",
            model=identity.model(reports["model"], reports["cpuinfo"]),
            platform=f"{identity.chip(reports['compatible'], reports['machine'])}; {self._cores_text()}",
            os_build=identity.build(reports["release"]) or plain(reports["kernel"]) or "unknown",
            cores=len(present) or max(self._processors) + 1,
            serial_hash=self._serial_hash,
            abi=identity.abi(reports["program"]),
            kernel=plain(reports["kernel"]),
        )

    def boot_id(self) -> str:
        return self._shell.boot_id or ""

    def state(self) -> DeviceState:
        """Return the conditions, those of a tenth of a second ago at most."""
        if self._reported is None or time.monotonic() - self._reported[0] > _REPORT_S:
            self._reported = time.monotonic(), self._conditions()
        return self._reported[1]

    def why_not_ready(self) -> str | None:
        now = self._fitness()
        return readiness.why_not_ready(now, self._fitness_at_start or now)

    def signs_of_heat(self) -> str | None:
        now = self._fitness()
        return readiness.signs_of_heat(now, self._fitness_at_start or now)

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        """Hold the clock by the governor ``performance``, where we may choose it.

        Nobody else on this machine measures on the board meanwhile. If the board is lost, or this process
        dies, the next connection to it restores the governor.

        Raises:
            DeviceError: There are fewer such cores than threads, or somebody measures on the board already.
        """
        if not 1 <= threads <= len(self._processors):
            raise DeviceError(
                f"{threads} threads do not fit on the {self._cores} cores "
                f"({listed(self._processors)}); ask for 1 to {len(self._processors)} threads, "
                "or for ?cores=all"
            )
        with locks.held(self._lock_name()) as is_ours:
            if not is_ours:
                raise DeviceError("another process measures on this board now; wait until it has ended")
            self._folder.prepare()
            self._fitness_at_start = self._fitness()
            self._threads = threads
            try:
                with self._clock.fixed():
                    self._reported = None
                    yield
            finally:
                self._threads, self._fitness_at_start, self._reported = None, None, None

    def pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def push(self, content: bytes, *, executable: bool = False) -> str:
        return self._folder.push(content, executable=executable)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        self._folder.prepare()
        return self._programs.run(argv, timeout_s=timeout_s, environment=environment)

    def converse(
        self, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Conversation]:
        self._folder.prepare()
        return self._programs.converse(argv, environment=environment)

    def python(self) -> str:
        return self._python

    def pull(self, path: str, *, max_bytes: int) -> bytes:
        return transfer.pull(self._connection, path, max_bytes)

    def scratch(self) -> AbstractContextManager[str]:
        return self._folder.scratch()

    def close(self) -> None:
        self._connection.close()

    def _conditions(self) -> DeviceState:
        reports = self._shell.texts(asked.state(self._processors[0]))
        heat = sensors.heat(reports["heat"])
        steal, ticks = _proc.steal_ticks(reports["stat"]), _proc.number(self._reports["ticks"])
        return DeviceState(
            clock_mhz=_proc.scaling_mhz(reports["clock"]),
            residency_s=_proc.residency_s(reports["residency"]),
            governor=plain(reports["governor"]) or None,
            is_clock_fixed=self._clock.is_fixed,
            temperature_c=heat.hottest_c,
            cooling=heat.cooling,
            throttling=sensors.power(reports["throttled"], reports["alarms"]).throttling,
            load=_proc.number(reports["load"].partition(" ")[0]),
            steal_s=steal / ticks if steal is not None and ticks else None,
            affinity=self._processors,
            threads=self._threads,
        )

    def _fitness(self) -> Fitness:
        has_tegrastats = bool(self._reports["tegrastats"].strip())
        reports = self._shell.texts(asked.fitness(self._processors, has_tegrastats=has_tegrastats))
        return Fitness(
            sensors.heat(reports["heat"]),
            sensors.power(reports["throttled"], reports["alarms"]),
            sensors.tegra(reports.get("tegra", "")),
            tuple(dict.fromkeys(map(plain, reports["governors"].split()))),
        )

    def _chosen(self) -> tuple[int, ...]:
        """Return the processors of the chosen kind that are awake, and that the board lets us use."""
        allowed = _ALLOWED.search(self._reports["status"])
        online = set(processors(self._reports["online"]))
        usable = set(processors(allowed[1])) if allowed else online
        return chosen(self._kinds, self._cores, usable & online if online else usable, what="board")

    def _cores_text(self) -> str:
        """Return which cores are measured, of what kind, and whether nothing tells their clocks."""
        if not self._kinds:
            return f"cores {listed(self._processors)} of unknown kinds, no cpufreq"
        has_clocks = "/cpuinfo_max_freq:" in self._reports["kinds"]
        return f"{self._cores} cores {listed(self._processors)}" + ("" if has_clocks else ", no cpufreq")

    def _recover(self) -> None:
        """Undo what a crashed process of ours left, unless another process measures on the board now."""
        ours = '[ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]'
        with locks.held(self._lock_name()) as is_ours:
            if is_ours and self._shell.script(ours, self._folder.path).exit_status == 0:
                self._programs.end_leftovers()
                self._folder.remove_leftovers()
                self._clock.release()

    def _lock_name(self) -> str:
        return f"ssh {self._shell.boot_id or self._serial_hash or self._connection.host}"


def _split(address: str) -> tuple[str, str, str]:
    """Return host, cores and Python of an address."""
    host, mark, query = address.partition("?")
    pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)  # which is no blank in a path
    wishes = dict(pairs)
    if mark and (len(wishes) != len(pairs) or not wishes.keys() <= {"cores", "python"} or not wishes):
        raise DeviceError(f"{query[:64]!r} names nothing to choose; {_HOW_TO_CHOOSE}, or ?python=/path")
    cores, python = wishes.get("cores", "big"), wishes.get("python", "python3")
    if cores not in CHOICES:
        raise DeviceError(f"{cores[:64]!r} does not choose cores; {_HOW_TO_CHOOSE}")
    if not re.fullmatch(r"[A-Za-z0-9_/][^\x00-\x1f\x7f]{0,255}", python):
        raise DeviceError(f"{python[:64]!r} is no Python; write ?python= and the whole path of one there")
    return host, cores, python


def _our_folder(text: str) -> str:
    path = text.strip()
    if not path.startswith("/") or not path.isprintable() or len(path) > 1024:
        raise DeviceError(
            f"the board's user has no home that we could use ({path[:64]!r}); set HOME or XDG_CACHE_HOME "
            "there"
        )
    return path
