"""Plug-in libraries of execution providers, each a package of its own that this process registers once.

ONNX Runtime lets a library be registered twice, and ends in a segmentation fault some time later. So whoever
registers asks first, behind a lock; libraries stay until the process ends.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

import onnxruntime

from devices import DeviceError
from devices.foundation import first_line
from profilers.runtimes._onnxruntime.session import ORT_ERRORS

#: Modules of plug-ins are called so, then by the name of the provider.
_PREFIX = "onnxruntime_ep_"

#: Without it the WebGPU plug-in lists nothing where it sees no card. Which it may use, ``provider`` checks.
_ALLOWS_SOFTWARE = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"

#: What ONNX Runtime writes to the terminal by itself: warnings, unless it is told otherwise.
_WARNINGS, _ERRORS = 2, 3

_REGISTERING = threading.Lock()

#: Names of the providers of each plug-in that this process has registered, whether they list hardware or not.
_REGISTERED: dict[str, Sequence[str]] = {}


class Hardware(Protocol):
    """Hardware as ONNX Runtime lists it."""

    vendor_id: int
    device_id: int
    metadata: Mapping[str, str]

    @property
    def type(self) -> object:
        """Its kind, whose text ends in CPU, GPU or NPU."""
        ...


class Listed(Protocol):
    """A pair of a registered provider and hardware that it says it runs on."""

    ep_name: str

    @property
    def device(self) -> Hardware:
        """The hardware."""
        ...


def registered(module: str, names: Sequence[str]) -> list[Listed]:
    """Return what is listed of a provider, whose plug-in is registered now if it was not yet.

    Args:
        module: The plug-in's module.
        names: Names of the provider in ONNX Runtime; where there are none, the plug-in tells.

    Raises:
        DeviceError: The plug-in is damaged, or does not go with this ONNX Runtime.
    """
    with _REGISTERING:
        found = listed(names)
        if found or not is_installed(module):
            return found
        if module not in _REGISTERED:
            path, told = _library(module)
            if not listed(told):
                _register(module, path)
            _REGISTERED[module] = told
        return listed(_REGISTERED[module])


def listed(names: Sequence[str]) -> list[Listed]:
    """Return what ONNX Runtime lists now of the providers of these names."""
    return [one for one in onnxruntime.get_ep_devices() if one.ep_name in names]


def module_of(name: str) -> str:
    """Return the module in which the plug-in of a provider is installed, if it is."""
    return _PREFIX + name.replace("-", "_")


def is_installed(module: str) -> bool:
    """Tell whether an installed package brings ``module``: no folder of anybody's is taken for one."""
    return bool(_packages(module)) and importlib.util.find_spec(module) is not None


def version(module: str) -> str:
    """Return the package that brings ``module``, and its version; empty where none does."""
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in _packages(module)[:1])


@cache
def _packages(module: str) -> Sequence[str]:
    return importlib.metadata.packages_distributions().get(module, ())


def _library(module: str) -> tuple[str, Sequence[str]]:
    """Return the path of a plug-in's library and the names of its providers, as its package tells them."""
    try:
        plugin = importlib.import_module(module)
        names = plugin.get_ep_names() if hasattr(plugin, "get_ep_names") else [plugin.get_ep_name()]
        return str(plugin.get_library_path()), [str(name) for name in names]
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise DeviceError(
            f"the plug-in {module} is damaged: {first_line(error)}; install its package again"
        ) from error


def _register(module: str, path: str) -> None:
    os.environ.setdefault(_ALLOWS_SOFTWARE, "1")
    onnxruntime.set_default_logger_severity(_ERRORS)  # it warns of that variable, on every terminal
    try:
        onnxruntime.register_execution_provider_library(module, path)
    except ORT_ERRORS as error:
        raise DeviceError(
            f"ONNX Runtime {onnxruntime.__version__} does not take the plug-in {module}: {first_line(error)}"
        ) from error
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)
