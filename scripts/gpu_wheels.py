"""Packs wheels of what ``benchmarks/gpu.py`` needs on a machine that reaches no registry, in one file.

usage: python scripts/gpu_wheels.py [--to FILE]

The machine has Python 3.12 on x86-64 Linux with torch, onnxruntime and numpy. What else travels is put into
an archive ``.tar.xz`` of wheels whose members are not compressed themselves, which makes it a third smaller
than the wheels. Versions are those of ``constraints.txt``. With the checkout, the archive may take
64 MiB.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PYTHON = "3.12"
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)
#: What the machine has, in a version of its own.
THERE = frozenset(("torch", "onnxruntime", "numpy"))
#: What the script does not use: phones, TFLite, the plots of pymoo, and what these alone need.
UNUSED = frozenset(
    (
        "adb-shell",
        "ai-edge-litert",
        "matplotlib",
        "contourpy",
        "cycler",
        "fonttools",
        "kiwisolver",
        "pyparsing",
    )
)
#: Extras that it uses.
_EXTRAS = ("nvml",)
#: Of archive and checkout together.
_MOST_MIB = 64
_MIB = 1 << 20


def main() -> None:
    """Download, pack, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=_ROOT / "runs" / "gpu_wheels.tar.xz", help="the archive")
    path = parser.parse_args().to
    with tempfile.TemporaryDirectory() as folder:
        _download(requirements(), Path(folder))
        _build(Path(folder))
        wheels = sorted(one for one in Path(folder).glob("*.whl") if not is_left_out(one.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        pack(wheels, path)
    archive, checkout = path.stat().st_size / _MIB, _checkout_bytes() / _MIB
    total = f"{len(wheels)} wheels, {archive:.1f} MiB; {archive + checkout:.1f} MiB with the checkout"
    sys.stdout.write(f"{path}: {total}\n")
    if archive + checkout > _MOST_MIB:
        sys.exit(f"that is over {_MOST_MIB} MiB: leave out what benchmarks/gpu.py does not use")


def requirements() -> list[str]:
    """Return what ``pyproject.toml`` asks for and the machine lacks."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for name in _EXTRAS for one in extras.get(name, ()))]
    return [one for one in wanted if _normalised(one.partition(">")[0]) not in THERE | UNUSED]


def is_left_out(wheel: str) -> bool:
    """Tell whether a wheel of that file name is of a package that does not travel."""
    return _normalised(wheel.partition("-")[0]) in THERE | UNUSED


def pack(wheels: Iterable[Path], archive: Path) -> None:
    """Write ``wheels`` into ``archive``, their members uncompressed and otherwise as they are."""
    with tarfile.open(archive, "w:xz") as packed, tempfile.TemporaryDirectory() as folder:
        for wheel in wheels:
            stored = Path(folder) / wheel.name
            with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(stored, "w") as target:
                for member in source.infolist():
                    content = source.read(member)
                    member.compress_type = zipfile.ZIP_STORED
                    target.writestr(member, content)
            packed.add(stored, arcname=wheel.name)
            stored.unlink()


def _download(wanted: list[str], folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    command += ["--python-version", _PYTHON, "--implementation", "cp", "--constraint", "constraints.txt"]
    command += [f"--platform={one}" for one in _PLATFORMS]
    done = subprocess.run([*command, *wanted], cwd=_ROOT, check=False)  # noqa: S603  (our own command)
    if done.returncode:
        sys.exit("the wheels could not be downloaded: see above")


def _build(folder: Path) -> None:
    """Add the wheel of this checkout, whose code is run as it lies there: a model card names its version."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)  # noqa: S603  (our own command)


def _checkout_bytes() -> int:
    """Return the size of what travels beside: tracked files, and others that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True).stdout  # noqa: S603
    paths = (_ROOT / name for name in listed.decode().split("\0") if name)
    return sum(path.lstat().st_size for path in paths if path.is_file())


def _normalised(name: str) -> str:
    return name.partition("[")[0].strip().lower().replace("_", "-")


if __name__ == "__main__":
    main()
