"""Which execution provider a setting names, and that it runs on the very hardware that is measured.

``get_ep_devices()`` names no adapter of WebGPU, and a provider that finds none is listed all the same. So the
hardware is chosen by the ids of the device that is measured, and a session of one node is run before anything
else: it shows that the provider works.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from devices import Accelerator, Adapter, DeviceError, HostDevice
from devices.foundation import first_line
from profilers.runtimes._onnxruntime.providers.plugins import (
    Hardware,
    Listed,
    is_installed,
    module_of,
    registered,
    version,
)
from profilers.runtimes._onnxruntime.session import ORT_ERRORS, quiet_options

#: Providers that ONNX Runtime calls otherwise than their packages.
_ALIASES = {"tensorrt-rtx": "nv-tensorrt-rtx"}

#: They run on cards alone, whatever ONNX Runtime lists beside.
_OF_CARDS = ("cuda", "tensorrt", "tensorrt-rtx", "webgpu")

#: They execute single nodes, and write the graph of them; others compile networks, and write none.
SHOWN = ("cpu", "cuda", "webgpu")

_SUFFIX = "ExecutionProvider"
_NVIDIA, _GOOGLE = 0x10DE, 0x1AE0

#: Where ONNX Runtime says where a card is.
_PLACE = "pci_bus_id"

_CUDA_VISIBLE, _CUDA_ORDER, _BY_PLACE = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PCI_BUS_ID"


#: The WebGPU plug-in shares one device among all sessions of a process; two threads that use it at once end
#: in a segmentation fault.
_ALONE = threading.RLock()


@dataclass(frozen=True)
class Provider:
    """An execution provider in this process, on one piece of hardware; makes sessions that use nothing else.

    Attributes:
        name: As settings name it.
        full_name: As ONNX Runtime does.
        hardware: What a plug-in was asked to run on; ``None`` of one that is built in.
        options: Its own: pairs of a name and a value.
        first: The session that showed that it runs. While one lives, what was compiled for the card is kept.
    """

    name: str
    full_name: str
    hardware: Listed | None = None
    options: tuple[tuple[str, str], ...] = ()
    first: onnxruntime.InferenceSession | None = field(default=None, repr=False, compare=False)

    def session(
        self, model: bytes, options: onnxruntime.SessionOptions, *, is_strict: bool = True
    ) -> onnxruntime.InferenceSession:
        """Load a model for this provider; strictly, none of its nodes may be left to the processor.

        Raises:
            DeviceError: ONNX Runtime gave another provider.
        """
        if is_strict:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self.hardware is not None:
            options.add_provider_for_devices([self.hardware], dict(self.options))
            session = onnxruntime.InferenceSession(model, options, enable_fallback=0)
        else:
            providers = [(self.full_name, dict(self.options))]
            session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
        found = session.get_providers()[0]
        if found != self.full_name:
            raise DeviceError(f"ONNX Runtime runs {found} in the place of {self.full_name}")
        return session

    def require_running(self) -> None:
        """Run the first session again: a card that was lost runs nothing, and lacks no operation.

        Raises:
            DeviceError: It does not run any more.
        """
        try:
            if self.first is not None:
                self.first.run(None, {"x": np.ones(1, np.float32)})
        except ORT_ERRORS as error:
            raise DeviceError(
                f"the card ran {self.name} and runs nothing any more: {first_line(error)}; "
                "run the same command again"
            ) from error

    def alone(self) -> AbstractContextManager[object]:
        """Keep other threads off, for as long as the context lasts; this one may enter it again."""
        return _ALONE


def provider_version(name: str) -> str:
    """Return the package of a provider's plug-in and its version; empty where it is built in.

    Raises:
        DeviceError: It is neither installed nor built in.
    """
    module = _module(name)
    if is_installed(module):
        return version(module)
    if not _built_in(name):
        raise _not_installed(name)
    return ""


def provider_on(name: str, device: HostDevice) -> Provider:
    """Return the provider ``name`` on ``device``, which it was seen to run on.

    Raises:
        DeviceError: It is not installed, or does not run there; the message names the remedy.
    """
    adapter: Adapter | None = None
    visible: tuple[Adapter, ...] = ()
    if isinstance(device, Accelerator):
        adapter, visible = device.adapter, tuple(device.shown_by_vulkan())
    elif name in _OF_CARDS:
        raise DeviceError(f"provider {name} runs on graphics cards; use gpu, or leave provider out")
    with _ALONE:
        return _opened(name, adapter, visible)


def provider_anywhere(name: str) -> Provider:
    """Return the provider ``name`` on whatever it finds, for what does not depend on the card.

    Raises:
        DeviceError: It is not installed, or finds nothing to run on.
    """
    with _ALONE:
        return _opened_anywhere(name)


@lru_cache(maxsize=16)
def _opened_anywhere(name: str) -> Provider:
    found = registered(_module(name), _full_names(name))
    provider = Provider(name, found[0].ep_name, found[0]) if found else _of_the_wheel(name, None)
    return _seen_to_run(provider, "any card")


@lru_cache(maxsize=16)
def _opened(name: str, adapter: Adapter | None, visible: tuple[Adapter, ...]) -> Provider:
    found = registered(_module(name), _full_names(name))
    if not found:
        provider = _of_the_wheel(name, adapter)
    elif name == "webgpu" and adapter is not None:
        require_webgpu_on(adapter, visible)
        provider = Provider(name, found[0].ep_name, found[0])
    else:
        hardware = chosen(found, adapter)
        provider = Provider(name, hardware.ep_name, hardware)
    return _seen_to_run(provider, "this processor" if adapter is None else adapter.name)


def require_webgpu_on(adapter: Adapter, visible: Sequence[Adapter]) -> None:
    """Check that WebGPU, which takes a card by itself and does not tell which, can take no other.

    Args:
        adapter: The card that is measured.
        visible: The cards that Vulkan shows.

    Raises:
        DeviceError: It could.
    """
    real = [card for card in visible if not card.is_software]
    if adapter.is_software:
        if real:
            raise DeviceError(
                f"WebGPU would run on {real[0].name}, not on {adapter.name}: let VK_DRIVER_FILES name the "
                "driver of that alone"
            )
        if adapter.vendor_id != _GOOGLE:
            raise DeviceError(
                f"WebGPU does not run on {adapter.name}: let VK_DRIVER_FILES name the driver of SwiftShader, "
                "which browsers bring"
            )
        return
    mine = [card for card in real if _is_same(adapter, card)]
    if not mine:
        raise DeviceError(f"WebGPU runs by Vulkan, which does not show {adapter.name}: install its driver")
    others = [card for card in real if card not in mine]
    others += mine[1:] if any(card.pci != mine[0].pci or not card.pci for card in mine[1:]) else []
    if others:
        raise DeviceError(
            f"WebGPU does not tell whether it runs on {adapter.name} or on {others[0].name}: let "
            "VK_DRIVER_FILES name the driver of one"
        )


def chosen(found: Sequence[Listed], adapter: Adapter | None) -> Listed:
    """Return which of the hardware that a provider lists is the one that is measured.

    Args:
        found: What is listed of the provider.
        adapter: The card; ``None``: the processor.

    Raises:
        DeviceError: None is, or it cannot be told.
    """
    name = found[0].ep_name
    if adapter is None:
        matching = [one for one in found if str(one.device.type).endswith("CPU")]
        where = "this processor"
    else:
        ids = (adapter.vendor_id, adapter.device_id)
        matching = [
            one
            for one in found
            if (one.device.vendor_id, one.device.device_id) == ids and _may_be_at(one.device, adapter.pci)
        ]
        where = adapter.name
    if not matching:
        raise DeviceError(f"{name} does not run on {where}")
    if len(matching) > 1:
        raise DeviceError(f"{name} does not tell which of {len(matching)} cards {where} it is")
    return matching[0]


def cuda_number(adapter: Adapter, environment: Mapping[str, str]) -> int:
    """Return CUDA's number of a card, where cards are ordered by their places on the bus.

    Args:
        adapter: An NVIDIA card.
        environment: Of this process; ``CUDA_VISIBLE_DEVICES`` may hide and reorder cards.

    Raises:
        DeviceError: The card is hidden, or cards are ordered by something else.
    """
    if environment.get(_CUDA_ORDER, _BY_PLACE) != _BY_PLACE:
        raise DeviceError(f"{_CUDA_ORDER} hides which card {adapter.name} is; unset it, or set {_BY_PLACE}")
    shown = environment.get(_CUDA_VISIBLE)
    if shown is None:
        return adapter.number
    uuid = adapter.uuid.removeprefix("GPU-")
    for place, one in enumerate(part.strip() for part in shown.split(",")):
        start = one.removeprefix("GPU-") if one.startswith("GPU-") else ""
        if one == str(adapter.number) or (start and uuid.startswith(start)):
            return place
    raise DeviceError(f"{_CUDA_VISIBLE} hides {adapter.name} ({adapter.number}); unset it")


def _is_same(one: Adapter, other: Adapter) -> bool:
    is_place_told = bool(one.pci and other.pci)
    ids, other_ids = (one.vendor_id, one.device_id), (other.vendor_id, other.device_id)
    return ids == other_ids and (one.pci == other.pci or not is_place_told)


def _may_be_at(hardware: Hardware, pci: str) -> bool:
    """Tell whether hardware is at a place on the bus, or does not tell where it is."""
    told = hardware.metadata.get(_PLACE, "")
    return not (told and pci) or _plain_place(told) == _plain_place(pci)


def _plain_place(pci: str) -> str:
    """Return a place on the bus, whose domain some write with four digits and others with eight."""
    return pci.strip().lower().lstrip("0")


def _of_the_wheel(name: str, adapter: Adapter | None) -> Provider:
    """Return a provider that the installed ONNX Runtime was built with."""
    full_names = _built_in(name)
    if not full_names and is_installed(_module(name)):
        where = "here" if adapter is None else f"on {adapter.name}"
        raise DeviceError(
            f"provider {name} does not run {where}: its plug-in finds no hardware; see docs/gpu.md"
        )
    if not full_names:
        raise _not_installed(name)
    options: dict[str, str] = {}
    if name in ("cuda", "tensorrt"):
        if adapter is not None:
            if adapter.vendor_id != _NVIDIA:
                raise DeviceError(f"provider {name} runs on NVIDIA's cards, not on {adapter.name}")
            os.environ.setdefault(_CUDA_ORDER, _BY_PLACE)
            options["device_id"] = str(cuda_number(adapter, os.environ))
        if name == "cuda":
            options["use_tf32"] = "0"  # what is measured is float32
    return Provider(name, full_names[0], None, tuple(options.items()))


def _seen_to_run(provider: Provider, where: str) -> Provider:
    """Return ``provider`` once a session of one node has run.

    Raises:
        DeviceError: It does not.
    """
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", [value], [result])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    try:
        session = provider.session(model, quiet_options(threads=1))
        session.run(None, {"x": np.ones(1, np.float32)})
    except ORT_ERRORS as error:
        raise DeviceError(
            f"provider {provider.name} does not run on {where}: {first_line(error)}; see docs/gpu.md"
        ) from error
    return replace(provider, first=session)


def _module(name: str) -> str:
    return module_of(_ALIASES.get(name, name))


def _full_names(name: str) -> list[str]:
    """Return the names under which ONNX Runtime lists hardware of a provider now."""
    return sorted({one.ep_name for one in onnxruntime.get_ep_devices() if _is_named(one.ep_name, name)})


def _built_in(name: str) -> list[str]:
    return [full for full in onnxruntime.get_available_providers() if _is_named(full, name)]


def _is_named(full_name: str, name: str) -> bool:
    short = full_name.removesuffix(_SUFFIX).lower()
    return short == _ALIASES.get(name, name).replace("-", "")


def _not_installed(name: str) -> DeviceError:
    package = (
        "'cars-hw[webgpu]'" if name == "webgpu" else module_of(_ALIASES.get(name, name)).replace("_", "-")
    )
    there = [full.removesuffix(_SUFFIX).lower() for full in onnxruntime.get_available_providers()]
    return DeviceError(
        f"there is no provider {name}: this ONNX Runtime has {', '.join(there)}; pip install {package}"
    )
