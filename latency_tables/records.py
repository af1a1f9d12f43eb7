"""The JSON form of a table's header and entries. Nothing from a file is trusted until it has passed here."""

from dataclasses import asdict

from devices import DeviceInfo
from latency_tables.errors import TableError
from latency_tables.header import Extent, TableHeader
from latency_tables.journal import Record
from latency_tables.measurement import Entry, Failure, FailureStatus, Measurement
from latency_tables.spec import OpSpec
from latency_tables.validation import PredictedNetwork, Validation

#: Form of the records. A table of a newer form is refused, never reinterpreted.
SCHEMA_VERSION = 1


def header_to_record(header: TableHeader) -> Record:
    """Return the first record of a table; it says ``executes`` only where that is unusual."""
    record = {"schema": SCHEMA_VERSION, **asdict(header)}
    if header.executes == _usual_extent(header.runtime):
        del record["executes"]
    return record


def header_from_record(record: Record) -> TableHeader:
    """Read what ``header_to_record`` returned.

    Raises:
        TableError: It is not a header of this schema.
    """
    optional = {"executes": str} if "executes" in record else {}
    _require_fields(
        record,
        schema=int,
        device=dict,
        runtime=str,
        runtime_version=str,
        threads=int,
        settings=dict,
        **optional,
    )
    if record["schema"] != SCHEMA_VERSION:
        raise TableError(f"schema {record['schema']} was never written")
    device = record["device"]
    _require_fields(device, kind=str, model=str, platform=str, os_build=str, cores=int, serial_hash=str)
    return TableHeader(
        DeviceInfo(**device),
        runtime=record["runtime"],
        runtime_version=record["runtime_version"],
        threads=record["threads"],
        settings=record["settings"],
        executes=record.get("executes", _usual_extent(record["runtime"])),
    )


def _usual_extent(runtime: str) -> Extent:
    """Return what a header without ``executes`` means: it is of a time when names of runtimes decided."""
    return "whole" if runtime == "torch" else "live"


def entry_to_record(entry: Entry) -> Record:
    """Return the record of an entry."""
    if isinstance(entry, Failure):
        return {"spec": str(entry.spec), "status": str(entry.status), "reason": entry.reason}
    samples_s = [float(sample) for sample in entry.samples_s]
    return {"spec": str(entry.spec), "samples_s": samples_s, "conditions": dict(entry.conditions)}


def entry_from_record(record: Record) -> Entry:
    """Read what ``entry_to_record`` returned.

    Raises:
        SpecError: Its spec does not parse.
        TableError: Something else about it is wrong.
    """
    return _failure(record) if "status" in record else _measurement(record)


def is_validation(record: Record) -> bool:
    """Tell whether ``record`` is of a validation, not of an entry."""
    return "networks" in record


def validation_to_record(validation: Validation) -> Record:
    """Return the record of a validation."""
    networks = [
        {"spec": str(network.spec), "latency_s": network.latency_s, "interval_s": list(network.interval_s)}
        for network in validation.networks
    ]
    return {"basis": validation.basis, "networks": networks}


def validation_from_record(record: Record) -> Validation:
    """Read what ``validation_to_record`` returned.

    Raises:
        SpecError: The spec of a network does not parse.
        TableError: Something else about it is wrong.
    """
    _require_fields(record, basis=str, networks=list)
    return Validation(record["basis"], tuple(map(_predicted_network, record["networks"])))


def _predicted_network(record: object) -> PredictedNetwork:
    if not isinstance(record, dict):
        raise TableError(f"{record!r:.80} is no predicted network")
    _require_fields(record, spec=str, latency_s=float, interval_s=list)
    match record["interval_s"]:
        case [float(low_s), float(high_s)]:
            return PredictedNetwork(OpSpec.parse(record["spec"]), record["latency_s"], (low_s, high_s))
    raise TableError(f"interval_s is {record['interval_s']!r:.80}, not two decimal numbers of seconds")


def _measurement(record: Record) -> Measurement:
    _require_fields(record, spec=str, samples_s=list, conditions=dict)
    for sample in record["samples_s"]:
        if type(sample) is not float:
            raise TableError(f"sample {sample!r:.80} is not a decimal number of seconds")
    return Measurement(OpSpec.parse(record["spec"]), tuple(record["samples_s"]), record["conditions"])


def _failure(record: Record) -> Failure:
    _require_fields(record, spec=str, status=str, reason=str)
    if record["status"] not in set(FailureStatus):
        raise TableError(f"status {record['status']!r:.80} is none of {', '.join(FailureStatus)}")
    return Failure(OpSpec.parse(record["spec"]), FailureStatus(record["status"]), record["reason"])


def _require_fields(record: Record, **types: type) -> None:
    """Check that ``record`` has exactly the fields ``types``, each of exactly that type: True is no int."""
    if record.keys() != types.keys():
        raise TableError(f"the fields are {', '.join(sorted(record)):.200}, not {', '.join(sorted(types))}")
    for name, wanted in types.items():
        if type(record[name]) is not wanted:
            raise TableError(f"{name} is {record[name]!r:.80}, not of type {wanted.__name__}")
