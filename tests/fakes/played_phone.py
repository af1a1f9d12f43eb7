"""A phone that is played: files below a folder, programs that answer from there, a shell that really runs.

What the shell is told is run by this machine's ``sh`` with that folder as its root, so that quoting, links,
processes and their ends are real; heat, charge and clusters are what a test writes. The folder also serves
a real adb daemon: ``Android(transport, root=phone.root)``, with ``phone.programs`` first on its path.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devices._adb.link import Deadline, Link, Stream
from devices._adb.transport import Transport
from devices._device import Completed
from devices._errors import DeviceError, DeviceLostError, DeviceTimeoutError
from devices.android import Android

TEXTS = Path(__file__).parent / "phone"

#: Highest clock in kHz and processors of each cluster: one big, two middling, four little ones.
PIXEL_6: Mapping[int, Sequence[int]] = {1803000: range(4), 2253000: (4, 5), 2802000: (6, 7)}

SERIAL = "1A2B3C4D5E6F70"

_PROGRAMS = {
    "getprop": 'cat "$PHONE/getprop"',
    "dumpsys": 'cat "$PHONE/dumpsys/$1" 2>/dev/null || echo "Can\'t find service: $1"',
    "cmd": """
echo "$*" >> "$PHONE/cmd.log"
case "$1 $2" in
  "power set-fixed-performance-mode-enabled")
    if [ -f "$PHONE/no-such-mode" ]; then echo "Failed to set FIXED_PERFORMANCE mode" >&2; exit 255; fi
    echo "$3" > "$PHONE/fixed-performance";;
  "settings get") cat "$PHONE/low-power";;
  *) echo "Unknown command: $*" >&2; exit 255;;
esac""",
    # As toybox's, for processors that this machine does not have: the kernel's view of them is played.
    "taskset": """
mkdir -p "$PHONE/proc/$$"
ln -sf "/proc/$$/stat" "$PHONE/proc/$$/stat"
if [ -f "$PHONE/confined" ]; then list=$(cat "$PHONE/confined"); else list=$(cat "$PHONE/lists/$1"); fi
printf 'Name:\\tsh\\nCpus_allowed:\\t%s\\nCpus_allowed_list:\\t%s\\n' "$1" "$list" > "$PHONE/proc/$$/status"
shift
exec "$@\"""",
    "settaskprofile": 'echo "$*" >> "$PHONE/settaskprofile.log"',
}


class PlayedPhone:
    """A phone below ``folder``.

    Args:
        folder: Empty; all of the phone is made there.
        clusters: Processors of each highest clock in kHz.
        android: Release whose texts it speaks: 13, or 9.

    Attributes:
        root: What ``Android`` takes as its root.
        programs: Folder of its programs.
        now_s: Its time, which passes only in ``sleep``.
        script: Called with the phone whenever time has passed, to heat it up.
    """

    def __init__(
        self, folder: Path, *, clusters: Mapping[int, Sequence[int]] = PIXEL_6, android: int = 13
    ) -> None:
        self.folder, self.root, self.programs = folder, str(folder), folder / "bin"
        self.now_s = 0.0
        self.script: Callable[[PlayedPhone], None] = lambda _: None
        self._write_programs()
        self._write_processors(clusters)
        self.write("getprop", (TEXTS / f"getprop-{android}.txt").read_text())
        self.write("dumpsys/battery", (TEXTS / "battery-13.txt").read_text())
        if android >= 10:
            self.write("dumpsys/thermalservice", (TEXTS / "thermalservice-13.txt").read_text())
        self.write("low-power", "0\n")
        self.write("proc/loadavg", "1.25 1.00 0.90 2/800 1234\n")
        self.write("proc/mounts", "/dev/root / ext4 ro 0 0\n/dev/dm-8 /data f2fs rw,nosuid,nodev 0 0\n")
        self.write("proc/self/cpuset", "/foreground\n")
        self.restart()
        (folder / "data/local/tmp").mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        """Write a file below the phone's root."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        """Return a file below the phone's root, empty where it is absent."""
        file = self.folder / path
        return file.read_text() if file.exists() else ""

    def ours(self) -> list[str]:
        """List what is in our folder."""
        folder = self.folder / "data/local/tmp/cars_hw"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def restart(self) -> None:
        """Boot anew."""
        self.write("proc/sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")

    def heat(self, *, status: int = 0, skin_c: str = "30.1", cooling: int = 0) -> None:
        """Play heat: what ``dumpsys thermalservice`` says from now on."""
        self.write(
            "dumpsys/thermalservice",
            f"Thermal Status: {status}\nHAL Ready: true\nCurrent temperatures from HAL:\n"
            f"\tTemperature{{mValue={skin_c}, mType=3, mName=VIRTUAL-SKIN, mStatus={status}}}\n"
            "Current cooling devices from HAL:\n"
            f"\tCoolingDevice{{mValue={cooling}, mType=2, mName=thermal-cpufreq-2}}\n",
        )

    def charge(self, *, level: int = 80, usb: bool = True, tenths_c: int = 282) -> None:
        """Play a charge: what ``dumpsys battery`` says from now on."""
        self.write(
            "dumpsys/battery",
            f"Current Battery Service state:\n  AC powered: false\n  USB powered: {str(usb).lower()}\n"
            f"  status: {2 if usb else 3}\n  level: {level}\n  scale: 100\n  temperature: {tenths_c}\n",
        )

    def sleep(self, seconds: float) -> None:
        """Let time pass, by the phone's clock."""
        self.now_s += seconds
        self.script(self)

    def transport(self) -> "PlayedTransport":
        """Connect to the phone."""
        return PlayedTransport(self)

    def device(self, cores: str = "big") -> Android:
        """Connect to the phone and make a device of it."""
        return Android(self.transport(), cores=cores, root=self.root, sleep=self.sleep)

    def _write_programs(self) -> None:
        self.programs.mkdir(parents=True)
        for name, text in _PROGRAMS.items():
            program = self.programs / name
            program.write_text(f"#!/bin/sh\nPHONE='{self.folder}'\n{text}\n")
            program.chmod(0o755)

    def _write_processors(self, clusters: Mapping[int, Sequence[int]]) -> None:
        everything = sorted(i for numbers in clusters.values() for i in numbers)
        cpu = "sys/devices/system/cpu"
        for name in ("online", "present", "possible"):
            self.write(f"{cpu}/{name}", f"{everything[0]}-{everything[-1]}\n")
        self.write("proc/self/status", f"Name:\tcat\nCpus_allowed_list:\t{everything[0]}-{everything[-1]}\n")
        for khz, numbers in clusters.items():
            for i in numbers:
                scaling = f"{cpu}/cpu{i}/cpufreq"
                self.write(f"{scaling}/cpuinfo_max_freq", f"{khz}\n")
                self.write(f"{scaling}/related_cpus", " ".join(map(str, numbers)) + "\n")
                self.write(f"{scaling}/scaling_cur_freq", f"{khz}\n")
                self.write(f"{scaling}/scaling_governor", "sched_pixel\n")
                self.write(f"{scaling}/stats/time_in_state", f"500000 1000\n{khz} 3000\n")
        for numbers in (
            everything,
            *clusters.values(),
            sorted(clusters[sorted(clusters)[len(clusters) // 2]]),
        ):
            first, last = min(numbers), max(numbers)
            text = str(first) if first == last else f"{first}-{last}"
            self.write(f"lists/{sum(1 << i for i in numbers):x}", text)


class _NoLink(Link):
    """The way to a phone that is played: it leads nowhere, for nothing is sent."""

    def open(self, service: str, deadline: Deadline) -> Stream:
        raise AssertionError(f"{service} is played, not sent")

    def reconnect(self) -> None:
        raise AssertionError("a played phone is reconnected to by its transport")

    def close(self) -> None:
        pass


class PlayedTransport(Transport):
    """Runs on this machine what a phone's shell is told.

    Attributes:
        commands: All that was run, for tests that look for what must not be in them.
        calls_until_lost: After so many more calls the phone is unplugged; ``None``: never.
        comes_back: Whether it can be connected to again.
        reconnections: How often it was.
        is_full: Whether the phone's disk takes only the first half of a file.
        before_answer: Called with each command after it has run.
        damage: What the way to the phone makes of a file.
        pushes: Files that were sent.
        is_closed: Whether the connection was closed.
    """

    def __init__(self, phone: PlayedPhone) -> None:
        super().__init__(_NoLink())
        self.commands: list[str] = []
        self.calls_until_lost: int | None = None
        self.comes_back = False
        self.reconnections = 0
        self.is_full = False
        self.before_answer: Callable[[str], None] = lambda _: None
        self.damage: Callable[[bytes], bytes] = lambda content: content
        self.pushes = 0
        self.is_closed = False
        self._phone = phone

    def shell(self, command: str, *, timeout_s: float) -> Completed:
        self._count()
        self.commands.append(command)
        environment = {"PATH": f"{self._phone.programs}:/usr/bin:/bin"}
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        with process:
            try:
                stdout, stderr = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)
                raise DeviceTimeoutError(
                    f"the program took longer than {timeout_s} s; it was killed"
                ) from error
        self.before_answer(command)
        return Completed(stdout, stderr, process.returncode)

    def push(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float) -> None:
        self._count()
        self.pushes += 1
        arrived = self.damage(content)
        Path(path).write_bytes(arrived[: len(arrived) // 2] if self.is_full else arrived)
        Path(path).chmod(mode)
        if self.is_full:
            raise DeviceError("the phone refuses: No space left on device; free space there")

    def pull(self, path: str, *, max_bytes: int, timeout_s: float) -> bytes:
        self._count()
        file = Path(path)
        if not file.is_file() or file.stat().st_size > max_bytes:
            raise DeviceError(f"there is no file {path} of at most {max_bytes} bytes")
        return file.read_bytes()

    def reconnect(self) -> None:
        if not self.comes_back:
            raise DeviceLostError("the phone was unplugged; plug it in again")
        self.reconnections += 1
        self.calls_until_lost = None

    def close(self) -> None:
        self.is_closed = True

    def _count(self) -> None:
        if self.calls_until_lost is not None:
            self.calls_until_lost -= 1
            if self.calls_until_lost < 0:
                raise DeviceLostError("the phone was unplugged; plug it in again")
