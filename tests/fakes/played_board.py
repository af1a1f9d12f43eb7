"""A Raspberry Pi 5 that is played: files below a folder; what runs on it really runs, through a real sshd."""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from devices._ssh.connection import Connection
from devices.ssh import Ssh
from tests.fakes.sshd import Sshd

SERIAL = "10000000deadbeef"


class KeptConnection(Connection):
    """A connection that outlives the devices that use it, for making one takes a quarter of a second."""

    def close(self) -> None:
        """Leave it open."""

    def end(self) -> None:
        """Close it."""
        super().close()


class PlayedBoard:
    """A board with the processors that this process may use: the first is slow, the others are fast.

    Args:
        sshd: The server on it.
        connection: The way to it.

    Attributes:
        folder: Where its ``proc``, ``sys`` and ``etc`` are.
        processors: What it has.
    """

    def __init__(self, sshd: Sshd, connection: KeptConnection) -> None:
        self.sshd, self.folder, self._connection = sshd, sshd.folder / "board", connection
        self.processors = sorted(os.sched_getaffinity(0))
        self.write("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
        self.write("proc/device-tree/compatible", "raspberrypi,5-model-b\0brcm,bcm2712\0")
        self.write("proc/device-tree/serial-number", f"{SERIAL}\0")
        self.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("etc/os-release", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
        self.write("proc/loadavg", "1.25 1.00 0.90 2/800 1234\n")
        self.write("proc/stat", "cpu  10 0 10 1000 0 0 0 250 0 0\ncpu0 10 0 10 1000 0 0 0 250 0 0\n")
        for i in self.processors:
            self._write_processor(i, self.processors[:1] if i == self.processors[0] else self.processors[1:])
        self.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        self.write("sys/class/thermal/cooling_device0/type", "pwm-fan\n")
        self.write("sys/class/thermal/cooling_device0/cur_state", "4\n")
        self.write("sys/class/thermal/cooling_device1/type", "cpufreq-cpu0\n")
        self.heat()
        self.program("vcgencmd", "echo throttled=0x0")
        self.restart()

    def write(self, path: str, text: str) -> None:
        """Write a file of the board."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def program(self, name: str, script: str) -> None:
        """Install a program on the board, before its own."""
        file = self.sshd.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def restart(self) -> None:
        """Boot anew."""
        self.write("proc/sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")

    def heat(self, *, milli_c: int = 48_200, cooling: int = 0) -> None:
        """Play heat."""
        self.write("sys/class/thermal/thermal_zone0/temp", f"{milli_c}\n")
        self.write("sys/class/thermal/cooling_device1/cur_state", f"{cooling}\n")

    def governors(self) -> list[str]:
        """Return the governor of each processor."""
        return [self._scaling(i, "scaling_governor").read_text().strip() for i in self.processors]

    def hold(self, governor: str) -> None:
        """Choose a governor for all processors."""
        for i in self.processors:
            self._scaling(i, "scaling_governor").write_text(f"{governor}\n")

    def remove(self) -> None:
        """Remove what tells of the board, and its programs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sshd.folder / "bin", ignore_errors=True)

    def ours(self) -> list[str]:
        """List what is in our folder."""
        return self.sshd.ours()

    def device(self, cores: str = "all", machine: str = "") -> Ssh:
        """Connect to the board."""
        return Ssh(self._connection, cores=cores, machine=machine, root=str(self.folder))

    def _write_processor(self, i: int, cluster: Sequence[int]) -> None:
        is_fast = i != self.processors[0]
        everything = ",".join(map(str, self.processors))
        for name in ("online", "present"):
            self.write(f"sys/devices/system/cpu/{name}", f"{everything}\n")
        self.write(f"sys/devices/system/cpu/cpu{i}/cpu_capacity", f"{1024 if is_fast else 414}\n")
        files = {
            "cpuinfo_max_freq": "2400000",
            "related_cpus": " ".join(map(str, cluster)),
            "scaling_cur_freq": "1500000",
            "scaling_governor": "ondemand",
            "scaling_available_governors": "conservative ondemand userspace powersave performance",
            "stats/time_in_state": "1500000 1000\n2400000 3000",
        }
        for name, text in files.items():
            self._scaling(i, name).parent.mkdir(parents=True, exist_ok=True)
            self._scaling(i, name).write_text(f"{text}\n")

    def _scaling(self, i: int, name: str) -> Path:
        return self.folder / f"sys/devices/system/cpu/cpu{i}/cpufreq/{name}"
