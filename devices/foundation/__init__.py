"""What all packages stand on: errors and their root, files, locks, plug-ins, settings, text, timers."""

from devices.foundation.errors import CarsHwError, ConfigError, StorageError, UnknownNameError
from devices.foundation.facades import lazy
from devices.foundation.files import (
    cache_folder,
    open_regular,
    read_regular,
    sync_folder,
    write_durably,
)
from devices.foundation.kept_files import KeptFiles, code_digest, key_of
from devices.foundation.locks import Lock, lock
from devices.foundation.ownership import Ownership, owned
from devices.foundation.plugins import load_plugin, plugin_name, plugin_names
from devices.foundation.settings import Settings, added, before, explained, section_type, settings_type
from devices.foundation.temporaries import remove_stale, replace_file, temporary_in
from devices.foundation.text import first_line, one_line, printable
from devices.foundation.timers import SaveTimer

__all__ = [
    "CarsHwError",
    "ConfigError",
    "KeptFiles",
    "Lock",
    "Ownership",
    "SaveTimer",
    "Settings",
    "StorageError",
    "UnknownNameError",
    "added",
    "before",
    "cache_folder",
    "code_digest",
    "explained",
    "first_line",
    "key_of",
    "lazy",
    "load_plugin",
    "lock",
    "one_line",
    "open_regular",
    "owned",
    "plugin_name",
    "plugin_names",
    "printable",
    "read_regular",
    "remove_stale",
    "replace_file",
    "section_type",
    "settings_type",
    "sync_folder",
    "temporary_in",
    "write_durably",
]
