"""Text of Linux's /proc and /sys, read by pure functions; ``None`` where it does not have it."""

import re
from collections.abc import Iterable, Iterator

#: Fields that name a product or processor, most telling first: "model name" of a 32-bit ARM kernel gives only
#: the instruction set.
_MODEL_FIELDS = ("Model", "Hardware", "model name", "cpu model", "Processor")

#: Before it come user, nice, system, idle, iowait, irq and softirq (man 5 proc).
_STEAL = re.compile(r"cpu +(?:[0-9]+ ){7}([0-9]+)")

#: Degrees Celsius; a reading outside of these is an absent or broken sensor.
_COLDEST_C, _HOTTEST_C = 1.0, 150.0

_RESIDENCY = re.compile(r"^([0-9]{1,9}) ([0-9]{1,15})$", re.MULTILINE)

#: The unit of ``time_in_state``: the kernel's USER_HZ, 100 on ARM and x86.
_TICKS_PER_S = 100

_PROCESSOR = re.compile(r"^processor[ \t]*:[ \t]*([0-9]{1,4})[ \t]*$", re.MULTILINE)
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")


def cpu_model(cpuinfo: str) -> str | None:
    """Return the name of the processor, or of the board, in ``/proc/cpuinfo``.

    64-bit ARM kernels give no name: there it is implementer and part of each kind of core, in order of
    appearance ("ARM 0x41/0xd05 + 0x41/0xd0a").
    """
    blocks = list(_blocks(cpuinfo))
    for field in _MODEL_FIELDS:
        for block in blocks:
            if block.get(field):
                return block[field]
    parts = [f"{block['CPU implementer']}/{block['CPU part']}" for block in blocks if _is_arm(block)]
    return f"ARM {' + '.join(dict.fromkeys(parts))}" if parts else None


def cpu_parts(cpuinfo: str) -> dict[int, str]:
    """Return implementer and part of each ARM core by its processor: ``{0: "0x41/0xd05"}``.

    Kernels before 3.8 give one part for all processors, in one paragraph: it tells nothing of each.
    """
    numbers = map(_PROCESSOR.findall, cpuinfo.split("\n\n"))
    return {
        int(found[0]): f"{block['CPU implementer']}/{block['CPU part']}".lower()
        for found, block in zip(numbers, _blocks(cpuinfo), strict=True)
        if len(found) == 1 and _is_arm(block)
    }


def cpu_clock_mhz(cpuinfo: str, processor: int) -> float | None:
    """Return the clock of ``processor`` that x86 kernels write into ``/proc/cpuinfo``."""
    for block in _blocks(cpuinfo):
        if block.get("processor") == str(processor):
            return number(block.get("cpu MHz", ""))
    return None


def steal_ticks(stat: str) -> int | None:
    """Return the ticks since boot, over all processors, that the hypervisor took (``/proc/stat``)."""
    match = _STEAL.match(stat)
    return int(match[1]) if match else None


def scaling_mhz(scaling_cur_freq: str) -> float | None:
    """Return the clock that ``cpufreq/scaling_cur_freq`` gives in kHz."""
    khz = number(scaling_cur_freq)
    return None if khz is None else khz / 1e3


def residency_s(time_in_state: str) -> tuple[tuple[float, float], ...]:
    """Return (MHz, seconds since boot) of each line ``KHZ TICKS`` of ``cpufreq/stats/time_in_state``."""
    return tuple(
        (int(match[1]) / 1e3, int(match[2]) / _TICKS_PER_S) for match in _RESIDENCY.finditer(time_in_state)
    )


def hottest_c(thermal_zones: Iterable[str]) -> float | None:
    """Return the highest plausible one of ``thermal_zone*/temp`` texts (thousandths of a degree)."""
    readings = [reading / 1e3 for reading in map(number, thermal_zones) if reading is not None]
    return max((reading for reading in readings if _COLDEST_C <= reading <= _HOTTEST_C), default=None)


def number(text: str) -> float | None:
    """Return the one decimal number in ``text``; ``None`` where it is anything else."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _blocks(cpuinfo: str) -> Iterator[dict[str, str]]:
    for paragraph in cpuinfo.split("\n\n"):
        pairs = (line.partition(":") for line in paragraph.splitlines())
        yield {name.strip(): value.strip() for name, _, value in pairs}


def _is_arm(block: dict[str, str]) -> bool:
    return "CPU implementer" in block and "CPU part" in block
