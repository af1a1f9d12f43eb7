"""What can be measured here, what state it is in, and what is wrong with it, with the remedy."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations

import devices
from devices import Device, DeviceError, RemoteDevice, RemoteHost
from devices.foundation import CarsHwError
from profilers.runtimes._benchmark_model.tool import BENCHMARK_MODEL
from profilers.runtimes._board.installed import why_incomplete

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
        heat: What it reports of heat that may slow it, with the remedy; empty where it reports nothing of it.
            Measuring finds out whether it is slow.
        serial_hash: Equal for two addresses of one device; for two devices too, where a maker gave all the
            same serial number.
        boot_id: Name of the device's present boot; empty where it has none.
        conditions: ``state``, each condition under its name; those that are unknown are left out.
        is_reached: Whether the device answered.
    """

    device: str
    model: str = ""
    system: str = ""
    cores: int = 0
    state: str = ""
    faults: tuple[str, ...] = ()
    serial_hash: str = ""
    boot_id: str = ""
    conditions: Mapping[str, object] = field(default_factory=dict)
    is_reached: bool = False
    heat: str = ""


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
            known = {key: value for key, value in state.items() if value not in (None, ())}
            return Finding(
                device=address,
                model=info.model,
                system=f"{info.platform}, {info.os_build}",
                cores=info.cores,
                state=", ".join(
                    f"{key} {f'{value:.4g}' if isinstance(value, float) else value}"
                    for key, value in known.items()
                    if key != "residency_s"
                ),
                faults=tuple(_faults(device)),
                serial_hash=info.serial_hash,
                boot_id=device.boot_id(),
                conditions=known,
                is_reached=True,
                heat=device.signs_of_heat() or "",
            )
    except CarsHwError as error:
        return Finding(address, faults=(str(error),))


def twins(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each device that was found under a second address."""
    first: list[Finding] = []
    lines = []
    for finding in findings:
        other = next((other for other in first if _are_one(finding, other)), None)
        if other is None:
            first.append(finding)
        elif other.device != finding.device:
            lines.append(
                f"{finding.device} is the same device as {other.device}: name one of them, always the same"
            )
    return lines


def namesakes(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each two devices of one serial number, by which tables know a device."""
    return [
        f"{two.device} and {one.device} are two devices of one serial number, by which a table knows its "
        "device: name both, and they measure one table together, or keep a table for each"
        for one, two in combinations(findings, 2)
        if one.serial_hash
        and (one.serial_hash, one.model, one.system) == (two.serial_hash, two.model, two.system)
        and not _are_one(one, two)
    ]


def _are_one(one: Finding, two: Finding) -> bool:
    """Tell whether two findings are one device; serial numbers alone do not say so, nor do boots alone.

    Cheap phones and boards leave the factory with one number, ``0123456789ABCDEF``, and systems that run
    beside each other on one kernel report one boot.
    """
    if (one.serial_hash, one.model, one.cores) != (two.serial_hash, two.model, two.cores):
        return False
    if one.boot_id and two.boot_id:
        return one.boot_id == two.boot_id
    return bool(one.serial_hash)


def _faults(device: Device) -> Iterable[str]:
    yield from filter(None, (device.why_not_ready(), device.why_untimed()))
    if isinstance(device, RemoteDevice):
        if device.state().is_charging:
            yield _CHARGING
        missing = _missing_program(device)
        if missing is not None:
            yield missing


def _missing_program(device: RemoteDevice) -> str | None:
    """Return where to get what runs models on ``device``, if it is not at hand."""
    try:
        if isinstance(device, RemoteHost):
            return why_incomplete(device)
        BENCHMARK_MODEL.read(device)
    except DeviceError as error:
        return str(error)
    return None
