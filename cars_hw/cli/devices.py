"""``cars-hw devices``: what can be measured here, and its state."""

from dataclasses import asdict

from cars_hw.cli._options import JsonOption
from cars_hw.cli._output import print_json, print_table
from devices import connect, names
from devices._device import Device
from devices._errors import CarsHwError


def devices(json: JsonOption = False) -> None:
    """List what can be measured here, its state, and what is wrong with it."""
    rows = [_look(name) for name in names() if name != "fake"]
    if json:
        print_json(rows)
        return
    print_table(
        ["device", "model", "system", "cores", "state", "fault"],
        [
            [str(row.get(key, "")) for key in ("device", "model", "system", "cores", "state", "fault")]
            for row in rows
        ],
    )


def _look(name: str) -> dict[str, object]:
    try:
        with connect(name) as device:
            return {"device": name, **_facts(device), "fault": ""}
    except CarsHwError as error:
        return {"device": name, "fault": str(error)}


def _facts(device: Device) -> dict[str, object]:
    info = device.info()
    known = {key: value for key, value in asdict(device.state()).items() if value not in (None, ())}
    state = ", ".join(
        f"{key} {f'{value:.4g}' if isinstance(value, float) else value}" for key, value in known.items()
    )
    return {
        "model": info.model,
        "system": f"{info.platform}, {info.os_build}",
        "cores": info.cores,
        "state": state,
    }
