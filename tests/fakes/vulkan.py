"""Vulkan drivers that Debian's ``chromium`` brings: SwiftShader, which runs, and one that only answers."""

import ctypes.util
import json
from pathlib import Path

from tests.fakes.environments import demand

_CHROMIUM = Path("/usr/lib/chromium")


def swiftshader() -> str:
    """Return the value of VK_ICD_FILENAMES by which SwiftShader is the only driver."""
    manifest = _CHROMIUM / "vk_swiftshader_icd.json"
    _demand(manifest)
    return str(manifest)


def mock(folder: Path) -> str:
    """Return the value by which Khronos' mock driver is: it shows a card that is no software's."""
    library = _CHROMIUM / "libVkICD_mock_icd.so"
    _demand(library)
    manifest = folder / "mock_icd.json"
    icd = {"library_path": str(library), "api_version": "1.3.0"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.1", "ICD": icd}))
    return str(manifest)


def _demand(path: Path) -> None:
    is_there = path.exists() and ctypes.util.find_library("vulkan") is not None
    demand("chromium", is_there=is_there, remedy="Debian packages chromium and libvulkan1")
