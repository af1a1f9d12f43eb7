"""TableHeader: the conditions that all latencies of a table share."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from devices import DeviceInfo
from devices.foundation import UnknownNameError
from latency_tables.errors import ChangedConditionsError, TableError, TableMismatchError

Setting = str | int

#: What a runtime executes of a network: what its output depends on, or every operation that is written.
Extent = Literal["live", "whole"]

#: What the keys of a table are: operations as a space writes them, what a runtime executes of them, or, where
#: neither can be measured one by one, whole networks alone.
KeyedBy = Literal["operations", "units", "networks"]

#: What may have changed since a table was measured, for whoever goes on with it all the same: conditions of
#: its device, the runtime's version, or, for whoever only reads the table, the device itself.
Changeable = Literal["kernel", "build", "runtime_version", "device"]

#: By each condition the word that allows it to have changed.
_WORDS: Mapping[str, Changeable] = {
    "kernel": "kernel",
    "build": "build",
    "security_patch": "build",
    "vendor_build": "build",
    "runtime_version": "runtime_version",
}

#: By each condition that changed since a table was measured, its value then and now.
Changes = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class TableHeader:
    """Device, runtime and settings of measurements; latencies under equal headers may be compared.

    Device and settings identify a table. Conditions, which an update changes, are those of its beginning.

    Attributes:
        device: Hardware.
        runtime: Name of the runtime: ``"onnxruntime"``.
        runtime_version: The version that the runtime reports.
        threads: Threads of one call.
        settings: Whatever else makes latencies incomparable: ``{"provider": "CPUExecutionProvider"}``.
        executes: What the runtime executes of a network.
        keyed_by: What the parts of networks are that are measured one by one.

    Raises:
        TableError: A name is empty, there is no thread, a setting is neither text nor integer, or
            ``executes`` or ``keyed_by`` is none of its words.
    """

    device: DeviceInfo
    runtime: str
    runtime_version: str
    threads: int
    settings: Mapping[str, Setting] = field(default_factory=dict, hash=False)
    executes: Extent = "live"
    keyed_by: KeyedBy = "operations"

    def __post_init__(self) -> None:
        if not (self.device.kind and self.runtime and self.runtime_version):
            raise TableError("a table's header names a device, a runtime and the runtime's version")
        if self.threads < 1:
            raise TableError(f"a table's header has {self.threads} threads; at least one runs")
        for name, value in self.settings.items():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise TableError(f"setting {name}={value!r:.80} of a table is neither text nor integer")
        if self.executes not in get_args(Extent):
            raise TableError(
                f"executes is {self.executes!r:.80}; a runtime executes the live graph or the whole"
            )
        if self.keyed_by not in get_args(KeyedBy):
            raise TableError(
                f"keyed_by is {self.keyed_by!r:.80}; it is one of {', '.join(get_args(KeyedBy))}"
            )
        object.__setattr__(self, "settings", dict(self.settings))  # the caller's may change later

    def facts(self) -> dict[str, Setting]:
        """Return every condition under a name of its own: ``"device.model"``, ``"settings.provider"``.

        That a table is keyed by operations is not said: it went without saying before there were others.
        """
        return {
            **{f"device.{name}": value for name, value in asdict(self.device).items()},
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "executes": self.executes,
            **({"keyed_by": self.keyed_by} if self.keyed_by != "operations" else {}),
            **{f"settings.{name}": value for name, value in self.settings.items()},
        }

    def conditions(self) -> dict[str, str]:
        """Return what an update of the device or of the runtime changes, by name, where it is known."""
        return {**self.device.conditions(), "runtime_version": self.runtime_version}

    def changes(self, now: "TableHeader") -> dict[str, tuple[str, str]]:
        """Return the conditions that are others ``now``, where both headers know them."""
        then, today = self.conditions(), now.conditions()
        return {
            name: (then[name], today[name])
            for name in _WORDS
            if name in then and name in today and then[name] != today[name]
        }

    def require_equal(
        self, wanted: "TableHeader", *, allow_changed: Collection[str] = (), is_read: bool = False
    ) -> dict[str, tuple[str, str]]:
        """Check that this table goes with latencies measured under ``wanted``: on its device, or one of them.

        Args:
            wanted: The header of what is measured now.
            allow_changed: Which conditions may be others: see ``Changeable``.
            is_read: Whether nothing is added to the table; then an error about another device says that it
                can be allowed.

        Returns:
            The conditions that are others.

        Raises:
            TableMismatchError: It may not; the error names the first fact that differs, and both its values.
            ChangedConditionsError: Conditions alone are others that nobody allowed.
            UnknownNameError: One of ``allow_changed`` is none of these words.
        """
        allowed = changeable(allow_changed)
        found, asked = self._identity(wanted), wanted._identity(self)
        if wanted.device.serial_hash in self.device.serials:
            asked["device.serial_hash"] = self.device.serial_hash
        for name in found | asked:
            if found.get(name) != asked.get(name):
                if name == "keyed_by":
                    raise _mixed_keys(self.keyed_by, wanted.keyed_by)
                values = [str(facts.get(name, "unset")) for facts in (found, asked)]
                helps = ("device",) if is_read and name.startswith("device.") else ()
                raise TableMismatchError(name, found=values[0], wanted=values[1], words=helps)
        changes = self.changes(wanted)
        words = tuple(dict.fromkeys(_WORDS[name] for name in changes))
        if not set(words) <= set(allowed):
            raise ChangedConditionsError(changes, words=words)
        return changes

    def _identity(self, other: "TableHeader") -> dict[str, Setting]:
        """Return the facts that no update changes, those that ``other`` does not know left out."""
        known = other.device.identity()
        device = {name: value for name, value in self.device.identity().items() if name in known}
        conditions = {f"device.{name}" for name in asdict(self.device)} | {"runtime_version"}
        facts = {name: value for name, value in self.facts().items() if name not in conditions}
        return {
            **{f"device.{name}": value for name, value in device.items()},
            "device.serial_hash": self.device.serial_hash,
            **facts,
        }


def _mixed_keys(found: KeyedBy, wanted: KeyedBy) -> TableMismatchError:
    text = (
        f"the table is keyed by {found}, but {wanted} are asked for, and no table mixes them; "
        f"go on with it by {found}, or profile a table of {wanted} in another file"
    )
    return TableMismatchError("keyed_by", found=found, wanted=wanted, text=text)


def changeable(words: Iterable[str]) -> tuple[Changeable, ...]:
    """Return ``words``, each once, in the order of ``Changeable``.

    Raises:
        UnknownNameError: One is not of ``Changeable``.
    """
    known: tuple[Changeable, ...] = get_args(Changeable)
    wanted = set(words)
    for word in sorted(wanted.difference(known)):
        raise UnknownNameError("condition to allow", word, known)
    return tuple(word for word in known if word in wanted)
