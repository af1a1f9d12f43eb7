"""What a board is asked about itself: shell text by name, for ``Shell.texts``."""

from collections.abc import Sequence

from devices._linux import folder

_CPU = '"$R"/sys/devices/system/cpu'

#: What does not change while a board runs.
IDENTITY = {
    "folder": folder.PATH,
    "model": 'cat "$R"/proc/device-tree/model',
    "compatible": "tr '\\0' ' ' < \"$R\"/proc/device-tree/compatible",
    "serial": 'cat "$R"/proc/device-tree/serial-number',
    "machine_id": 'cat "$R"/etc/machine-id',
    "release": 'cat "$R"/etc/os-release',
    "kernel": "uname -sr",
    "machine": "uname -m",
    "program": "od -An -tx1 -N20 /bin/sh",
    "cpuinfo": 'cat "$R"/proc/cpuinfo',
    "status": "cat /proc/self/status",
    "ticks": "getconf CLK_TCK || echo 100",
    "tegrastats": "command -v tegrastats",
    "online": f"show {_CPU}/online",
    "present": f"show {_CPU}/present",
    "kinds": f"cd {_CPU} && grep -s . /dev/null cpu[0-9]*/cpu_capacity "
    + "cpu[0-9]*/cpufreq/cpuinfo_max_freq cpu[0-9]*/cpufreq/related_cpus",
}

_HEAT = {
    "heat": 'cd "$R"/sys/class/thermal && grep -s . /dev/null thermal_zone*/type thermal_zone*/temp '
    + "thermal_zone*/trip_point_*_type thermal_zone*/trip_point_*_temp "
    + "cooling_device*/type cooling_device*/cur_state",
    "throttled": 'show "$R"/sys/devices/platform/soc*/soc*:firmware/get_throttled || vcgencmd get_throttled',
    "alarms": 'cd "$R"/sys/class/hwmon && '
    + "grep -s . /dev/null hwmon*/in*_lcrit_alarm hwmon*/oc*_event_cnt",
}


def fitness(processors: Sequence[int], *, has_tegrastats: bool) -> dict[str, str]:
    """Return what tells whether the board is fit, whose ``processors`` are measured."""
    governors = "; ".join(f"show {_CPU}/cpu{i}/cpufreq/scaling_governor" for i in processors)
    tegra = {"tegra": "timeout 3 tegrastats --interval 100 | head -n 1"} if has_tegrastats else {}
    return {**_HEAT, **tegra, "governors": governors}


def state(processor: int) -> dict[str, str]:
    """Return what tells the conditions, with the clock of ``processor``."""
    scaling = f"{_CPU}/cpu{processor}/cpufreq"
    return {
        **_HEAT,
        "load": 'show "$R"/proc/loadavg',
        "stat": 'read -r line < "$R"/proc/stat && echo "$line"',
        "clock": f"show {scaling}/scaling_cur_freq",
        "governor": f"show {scaling}/scaling_governor",
        "residency": f"show {scaling}/stats/time_in_state",
    }
