"""Python environments of their own, for what cannot be installed beside our packages."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SECONDS = 1800


def demand(name: str, *, is_there: bool, remedy: str) -> None:
    """Skip the test where something is absent; fail it where CARS_HW_REQUIRE names it."""
    if not is_there:
        required = name in os.environ.get("CARS_HW_REQUIRE", "").split(",")
        assert not required, f"CARS_HW_REQUIRE names {name}, which is not there: {remedy}"
        pytest.skip(f"{name} is not there ({remedy})")


def environment(cache: pytest.Cache, *requirements: str, version: str = "", name: str = "") -> Path:
    """Return the interpreter of an environment with ``requirements``, made once and kept in pytest's cache.

    Skips the test where they cannot be had, or fails it as ``demand`` says.

    Args:
        cache: Of pytest.
        requirements: As pip takes them.
        version: Of Python, "3.11"; any, where it is left out.
        name: What CARS_HW_REQUIRE may call it.
    """
    digest = hashlib.sha256(repr((requirements, version)).encode()).hexdigest()[:8]
    folder = cache.mkdir(f"environment-{digest}")
    python, stamp = folder / "bin" / "python", folder / "complete"
    if not stamp.exists():
        maker = _maker(version)
        demand(name, is_there=maker is not None, remedy=f"it needs Python {version}")
        subprocess.run([str(maker), "-m", "venv", "--clear", folder], check=True, timeout=_SECONDS)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *requirements], capture_output=True, text=True, timeout=_SECONDS)
        told = done.stderr.strip().splitlines()[-1:]
        demand(name, is_there=done.returncode == 0, remedy=f"{', '.join(requirements)}: {told}")
        stamp.touch()
    return python


def _maker(version: str) -> str | None:
    """Return a Python of ``version``, this one or one on the path that runs, or ``None``."""
    if not version or version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if found is None or subprocess.run([found, "-c", ""], capture_output=True).returncode:
        return None
    return found
