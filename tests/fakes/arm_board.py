"""Python of an ARM board, with the packages that boards get, under QEMU: right numbers, and never a time.

Debian's packages of Python and its libraries are unpacked beside the system's, and PyPI's wheels for aarch64
beside those. QEMU finds files of the board below a folder first: also its ``/proc/cpuinfo``, which the
runtimes read to choose their kernels.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from tests.fakes.environments import demand

_QEMU = "qemu-aarch64-static"

#: Of Debian 12, whose Python is 3.11.
_PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "zlib1g", "libssl3", "libffi8", "libexpat1", "liblzma5", "libbz2-1.0", "libuuid1"),
    "libcrypt1",
)
_WHEELS = ("numpy", "onnxruntime", "ai-edge-litert")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")

#: A Raspberry Pi 4's.
_CPUINFO = (
    "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
)

_SECONDS = 900


def arm_python(cache: pytest.Cache) -> Path:
    """Return a program that is Python on an ARM board; made once, and kept in pytest's cache.

    Skips the test where it cannot be had, or fails it where ``CARS_HW_REQUIRE`` names ``arm``.
    """
    is_there = shutil.which(_QEMU) is not None and shutil.which("apt-get") is not None
    demand("arm", is_there=is_there, remedy="install qemu-user-static, on Debian 12")
    wheels = [f"{name}=={metadata.version(name)}" for name in _WHEELS]
    digest = hashlib.sha256(repr((_PACKAGES, wheels, _CPUINFO)).encode()).hexdigest()[:8]
    folder = cache.mkdir(f"arm-board-{digest}")
    python = folder / "python"
    if not python.exists():
        _download(folder, wheels)
        _unpack(folder)
        text = f"PYTHONHOME={folder}/root/usr PYTHONPATH={folder}/site exec {_QEMU} -L {folder}/root \\\n"
        python.with_suffix(".new").write_text(f'#!/bin/sh\n{text}  {folder}/root/usr/bin/python3.11 "$@"\n')
        python.with_suffix(".new").chmod(0o755)
        python.with_suffix(".new").rename(python)
    return python


def _download(folder: Path, wheels: Sequence[str]) -> None:
    """Get Debian's packages, by lists of our own, and the wheels."""
    for name in ("debs", "lists/partial", "cache/archives/partial", "wheels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    own = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache"]
    own += ["APT::Architecture=arm64", "APT::Architectures::=arm64", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-q", *(f"-o{option}" for option in own)]
    _call([*apt, "update"], folder)
    _call([*apt, "download", *_PACKAGES], folder / "debs")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += [f"--platform={name}" for name in _PLATFORMS]
    _call([*pip, "--python-version=3.11", f"--dest={folder}/wheels", *wheels], folder)


def _unpack(folder: Path) -> None:
    for package in (folder / "debs").glob("*.deb"):
        _call(["dpkg-deb", "-x", str(package), str(folder / "root")], folder)
    for wheel in (folder / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
    (folder / "root" / "proc").mkdir(exist_ok=True)
    (folder / "root" / "proc" / "cpuinfo").write_text("".join(map(_CPUINFO.format, range(4))))


def _call(words: Sequence[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    told = done.stderr.strip().splitlines()[-1:]
    demand("arm", is_there=done.returncode == 0, remedy=f"{words[0]} on {platform.machine()}: {told}")
