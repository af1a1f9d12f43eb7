"""What the kernel shows of graphics cards below ``/sys/class/drm``, as folders of a test.

Names and forms of files are those that the kernel documents (thermal.rst of amdgpu; sysfs-driver-intel-i915;
"Xe GT Frequency Management"; drm-usage-stats.rst); no such card was at hand to record them from.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

#: Radeon RX 7900 XTX.
AMD = {
    "device/vendor": "0x1002\n",
    "device/device": "0x744c\n",
    "device/uevent": "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n",
    "device/mem_info_vram_total": "25753026560\n",
    "device/gpu_busy_percent": "0\n",
    "device/power_dpm_force_performance_level": "auto\n",
    "device/pp_dpm_sclk": "0: 500Mhz *\n1: 2304Mhz \n2: 2482Mhz \n",
    "device/pp_dpm_mclk": "0: 96Mhz \n1: 456Mhz \n2: 772Mhz *\n3: 1249Mhz \n",
    "device/hwmon/hwmon3/freq1_label": "sclk\n",
    "device/hwmon/hwmon3/freq1_input": "2304000000\n",
    "device/hwmon/hwmon3/freq2_label": "mclk\n",
    "device/hwmon/hwmon3/freq2_input": "1249000000\n",
    "device/hwmon/hwmon3/temp1_input": "44000\n",
    "device/hwmon/hwmon3/temp1_label": "edge\n",
    "device/hwmon/hwmon3/temp2_input": "51000\n",
    "device/hwmon/hwmon3/temp2_label": "junction\n",
    "device/hwmon/hwmon3/power1_average": "87000000\n",
}

#: Iris Xe under ``i915``: no memory and no sensors of its own.
I915 = {
    "device/vendor": "0x8086\n",
    "device/device": "0x9a49\n",
    "device/uevent": "DRIVER=i915\nPCI_CLASS=30000\nPCI_ID=8086:9A49\nPCI_SLOT_NAME=0000:00:02.0\n",
    "gt_act_freq_mhz": "1300\n",
    "gt_cur_freq_mhz": "1300\n",
    "gt_min_freq_mhz": "100\n",
    "gt_max_freq_mhz": "1300\n",
    "gt_boost_freq_mhz": "1300\n",
    "gt_RP0_freq_mhz": "1300\n",
    "gt_RP1_freq_mhz": "300\n",
    "gt_RPn_freq_mhz": "100\n",
    "gt/gt0/throttle_reason_status": "0\n",
    "gt/gt0/throttle_reason_pl1": "0\n",
    "gt/gt0/throttle_reason_pl2": "0\n",
    "gt/gt0/throttle_reason_thermal": "0\n",
    "gt/gt0/throttle_reason_prochot": "0\n",
}

#: Arc B580 under ``xe``.
XE = {
    "device/vendor": "0x8086\n",
    "device/device": "0xe20b\n",
    "device/uevent": "DRIVER=xe\nPCI_CLASS=30000\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:0a:00.0\n",
    "device/tile0/gt0/freq0/act_freq": "2850\n",
    "device/tile0/gt0/freq0/cur_freq": "2850\n",
    "device/tile0/gt0/freq0/min_freq": "1200\n",
    "device/tile0/gt0/freq0/max_freq": "2850\n",
    "device/tile0/gt0/freq0/rpe_freq": "1300\n",
    "device/tile0/gt0/freq0/throttle/status": "0\n",
    "device/tile0/gt0/freq0/throttle/reason_pl1": "0\n",
    "device/tile0/gt0/freq0/throttle/reason_pl4": "0\n",
    "device/tile0/gt0/freq0/throttle/reason_thermal": "0\n",
    "device/hwmon/hwmon5/temp2_input": "47000\n",
    "device/hwmon/hwmon5/energy1_input": "7123456789\n",
}


def card(drm: Path, name: str, files: Mapping[str, str], **others: str) -> Path:
    """Lay out a card, and the folder of one of its connectors; return the card's folder."""
    folder = drm / name
    for path, text in {**files, **others}.items():
        write(folder / path, text)
    connector = drm / f"{name}-DP-1"
    write(connector / "status", "connected\n")
    (connector / "device").symlink_to(folder)
    return folder


def write(path: Path, content: str | bytes) -> None:
    """Write a file below folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def gpu_metrics(revision: tuple[int, int], *, size: int, offset: int, throttling: int) -> bytes:
    """Return AMD's metrics: a header, and the throttling that all chips report alike."""
    content = bytearray(b"\xff" * size)
    struct.pack_into("<HBB", content, 0, size, *revision)
    struct.pack_into("<Q", content, offset, throttling)
    return bytes(content)


def process(proc: Path, pid: int, *, parent: int = 1, fdinfo: str = "", device: str = "renderD128") -> None:
    """Lay out a process that has a card open, as the kernel describes it; none where ``fdinfo`` is empty."""
    write(proc / f"{pid}/stat", f"{pid} (a) b) S {parent} {pid} {pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7777\n")
    (proc / f"{pid}/fd").mkdir(exist_ok=True)
    if not (proc / f"{pid}/fd/0").is_symlink():
        (proc / f"{pid}/fd/0").symlink_to("/dev/null")
        write(proc / f"{pid}/fdinfo/0", "pos:\t0\nflags:\t02\n")
    if fdinfo and not (proc / f"{pid}/fd/7").is_symlink():
        (proc / f"{pid}/fd/7").symlink_to(f"/dev/dri/{device}")
    if fdinfo:
        write(proc / f"{pid}/fdinfo/7", f"pos:\t0\nflags:\t02100002\n{fdinfo}")


def namespace(proc: Path, name: str = "pid:[4026531836]") -> None:
    """Say which namespace of processes this one is in; the system's own if not given."""
    link = proc / "self/ns/pid"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(name)
