"""The JSON form of a table's header and entries. Nothing from a file is trusted until it has passed here."""

from dataclasses import asdict

from devices import DeviceInfo
from latency_tables.errors import TableError
from latency_tables.header import Extent, TableHeader
from latency_tables.lines import Fields
from latency_tables.measurement import Entry, Failure, FailureStatus, Measurement
from latency_tables.spec import OpSpec
from latency_tables.validation import PredictedNetwork, Validation

#: Form of the lines. A table of a newer form is refused, never reinterpreted. Of 3 are tables that are keyed
#: by units or by whole networks; of 2 others whose device tells more about itself than its ``os_build``; any
#: other is written as 1, which all earlier programs read.
SCHEMA_VERSION = 3
_UNITS_SCHEMA = 3

_DEVICE = {"kind": str, "model": str, "platform": str, "os_build": str, "cores": int, "serial_hash": str}
_DEVICE_2 = {**_DEVICE, "abi": str, "kernel": str, "security_patch": str, "vendor_build": str}


def header_to_fields(header: TableHeader) -> Fields:
    """Return the first line of a table; it says ``executes`` only where that is unusual."""
    fields = {"schema": _UNITS_SCHEMA, **asdict(header)}
    device: dict[str, object] = fields["device"]
    if header.keyed_by == "operations":
        del fields["keyed_by"]
        fields["schema"] = 2
        if not any(device[name] for name in _DEVICE_2.keys() - _DEVICE.keys()):
            fields |= {"schema": 1, "device": {name: device[name] for name in _DEVICE}}
    if header.executes == _usual_extent(header.runtime):
        del fields["executes"]
    return fields


def header_from_fields(fields: Fields) -> TableHeader:
    """Read what ``header_to_fields`` returned.

    Raises:
        TableError: It is not a header of this schema.
    """
    optional = {"executes": str} if "executes" in fields else {}
    optional |= {"keyed_by": str} if fields.get("schema") == _UNITS_SCHEMA else {}
    require_fields(
        fields,
        schema=int,
        device=dict,
        runtime=str,
        runtime_version=str,
        threads=int,
        settings=dict,
        **optional,
    )
    if not 1 <= fields["schema"] <= SCHEMA_VERSION:
        raise TableError(f"schema {fields['schema']} was never written")
    if fields.get("keyed_by") == "operations":
        raise TableError(f"a table of schema {_UNITS_SCHEMA} is not keyed by {fields['keyed_by']!r:.80}")
    device = fields["device"]
    require_fields(device, **(_DEVICE if fields["schema"] == 1 else _DEVICE_2))
    return TableHeader(
        DeviceInfo(**device),
        runtime=fields["runtime"],
        runtime_version=fields["runtime_version"],
        threads=fields["threads"],
        settings=fields["settings"],
        executes=fields.get("executes", _usual_extent(fields["runtime"])),
        keyed_by=fields.get("keyed_by", "operations"),
    )


def _usual_extent(runtime: str) -> Extent:
    """Return what a header without ``executes`` means: it is of a time when names of runtimes decided."""
    return "whole" if runtime == "torch" else "live"


def entry_to_fields(entry: Entry) -> Fields:
    """Return the line of an entry."""
    if isinstance(entry, Failure):
        return {"spec": str(entry.spec), "status": str(entry.status), "reason": entry.reason}
    samples_s = [float(sample) for sample in entry.samples_s]
    return {"spec": str(entry.spec), "samples_s": samples_s, "conditions": dict(entry.conditions)}


def entry_from_fields(fields: Fields) -> Entry:
    """Read what ``entry_to_fields`` returned.

    Raises:
        SpecError: Its spec does not parse.
        TableError: Something else about it is wrong.
    """
    return _failure(fields) if "status" in fields else _measurement(fields)


def is_validation(fields: Fields) -> bool:
    """Tell whether a line is of a validation, not of an entry."""
    return "networks" in fields


def validation_to_fields(validation: Validation) -> Fields:
    """Return the line of a validation."""
    networks = [
        {"spec": str(network.spec), "latency_s": network.latency_s, "interval_s": list(network.interval_s)}
        for network in validation.networks
    ]
    return {"basis": validation.basis, "networks": networks}


def validation_from_fields(fields: Fields) -> Validation:
    """Read what ``validation_to_fields`` returned.

    Raises:
        SpecError: The spec of a network does not parse.
        TableError: Something else about it is wrong.
    """
    require_fields(fields, basis=str, networks=list)
    return Validation(fields["basis"], tuple(map(_predicted_network, fields["networks"])))


def require_fields(fields: Fields, **types: type) -> None:
    """Check that there are exactly the fields ``types``, each of exactly that type: True is no int.

    Raises:
        TableError: There are others, or one is of another type.
    """
    if fields.keys() != types.keys():
        raise TableError(f"the fields are {', '.join(sorted(fields)):.200}, not {', '.join(sorted(types))}")
    for name, wanted in types.items():
        if type(fields[name]) is not wanted:
            raise TableError(f"{name} is {fields[name]!r:.80}, not of type {wanted.__name__}")


def _predicted_network(fields: object) -> PredictedNetwork:
    if not isinstance(fields, dict):
        raise TableError(f"{fields!r:.80} is no predicted network")
    require_fields(fields, spec=str, latency_s=float, interval_s=list)
    match fields["interval_s"]:
        case [float(low_s), float(high_s)]:
            return PredictedNetwork(OpSpec.parse(fields["spec"]), fields["latency_s"], (low_s, high_s))
    raise TableError(f"interval_s is {fields['interval_s']!r:.80}, not two decimal numbers of seconds")


def _measurement(fields: Fields) -> Measurement:
    require_fields(fields, spec=str, samples_s=list, conditions=dict)
    for odd in set(map(type, fields["samples_s"])) - {float}:
        sample = next(sample for sample in fields["samples_s"] if type(sample) is odd)
        raise TableError(f"sample {sample!r:.80} is not a decimal number of seconds")
    return Measurement(OpSpec.parse(fields["spec"]), tuple(fields["samples_s"]), fields["conditions"])


def _failure(fields: Fields) -> Failure:
    require_fields(fields, spec=str, status=str, reason=str)
    if fields["status"] not in set(FailureStatus):
        raise TableError(f"status {fields['status']!r:.80} is none of {', '.join(FailureStatus)}")
    return Failure(OpSpec.parse(fields["spec"]), FailureStatus(fields["status"]), fields["reason"])
