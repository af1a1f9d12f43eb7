"""What can be measured here, what state it is in, and what is wrong with it, with the remedy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import devices
from devices import Device, DeviceError, RemoteDevice
from devices.foundation import CarsHwError
from profilers.runtimes._benchmark_model.tool import BENCHMARK_MODEL

_CHARGING = "it is being charged, which heats it: unplug it and measure over Wi-Fi, or leave the cable alone"

Connect = Callable[[str], Device]


@dataclass(frozen=True)
class Finding:
    """What is known of a device.

    Attributes:
        device: Its address, ``NAME[:ADDRESS]``.
        model: Its name; empty, like all that follows, where it cannot be reached.
        system: Its platform and operating system.
        cores: Its logical processors.
        state: Its present conditions.
        faults: What is wrong, one line each, with the remedy.
        serial_hash: Equal for two addresses of one device.
    """

    device: str
    model: str = ""
    system: str = ""
    cores: int = 0
    state: str = ""
    faults: tuple[str, ...] = ()
    serial_hash: str = ""


def look_around(
    *, addresses: Callable[[str], Sequence[str]] = devices.addresses, connect: Connect = devices.connect
) -> list[Finding]:
    """Check everything of every kind of device that can be found from here: this machine, phones, ...

    Args:
        addresses: Lists what there is of a kind of device.
        connect: Connects to one of them.
    """
    findings = []
    for name in devices.names():
        try:
            found = addresses(name)
        except CarsHwError as error:
            findings.append(Finding(name, faults=(str(error),)))
        else:
            findings += [look_at(address, connect=connect) for address in found]
    return findings


def look_at(address: str, *, connect: Connect = devices.connect) -> Finding:
    """Check the device at ``address``."""
    try:
        with connect(address) as device:
            info, state = device.info(), asdict(device.state())
            return Finding(
                device=address,
                model=info.model,
                system=f"{info.platform}, {info.os_build}",
                cores=info.cores,
                state=", ".join(
                    f"{key} {f'{value:.4g}' if isinstance(value, float) else value}"
                    for key, value in state.items()
                    if value not in (None, ()) and key != "residency_s"
                ),
                faults=tuple(_faults(device)),
                serial_hash=info.serial_hash,
            )
    except CarsHwError as error:
        return Finding(address, faults=(str(error),))


def twins(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each device that was found under a second address."""
    first: dict[str, str] = {}
    lines = []
    for finding in findings:
        if finding.serial_hash:
            other = first.setdefault(finding.serial_hash, finding.device)
            if other != finding.device:
                lines.append(
                    f"{finding.device} is the same device as {other}: name one of them, always the same"
                )
    return lines


def _faults(device: Device) -> Iterable[str]:
    reason = device.why_not_ready()
    if reason is not None:
        yield reason
    if isinstance(device, RemoteDevice):
        if device.state().is_charging:
            yield _CHARGING
        missing = _missing_program(device)
        if missing is not None:
            yield missing


def _missing_program(device: RemoteDevice) -> str | None:
    """Return where to get the program that runs models on ``device``, if it is not at hand."""
    try:
        BENCHMARK_MODEL.read(device)
    except DeviceError as error:
        return str(error)
    return None
