"""Python environments of their own, for what cannot be installed beside our packages."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

_SECONDS = 1800


def environment(cache: pytest.Cache, *requirements: str) -> Path:
    """Return the interpreter of an environment with ``requirements``, made once and kept in pytest's cache.

    Skips the test where they cannot be had.
    """
    digest = hashlib.sha256(repr(requirements).encode()).hexdigest()[:8]
    folder = cache.mkdir(f"environment-{digest}")
    python, stamp = folder / "bin" / "python", folder / "complete"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=_SECONDS)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *requirements], capture_output=True, text=True, timeout=_SECONDS)
        if done.returncode:
            pytest.skip(f"{', '.join(requirements)} not to be had: {done.stderr.strip().splitlines()[-1]}")
        stamp.touch()
    return python
