"""What takes long to make and can be made again, kept in the folder of caches by what it follows from.

A key is a digest of everything that the content follows from: another content has another key, and nothing is
ever out of date. What is read is held against a digest of its own, so that a torn or damaged file counts as a
missing one. All files of a kind together have a bound; those that were not used for longest make room.
Folders that others may write to are not used.
"""

import hashlib
import importlib.util
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from devices.foundation.files import cache_folder, read_regular
from devices.foundation.temporaries import remove_stale, temporary_in

logger = logging.getLogger(__name__)

_MAGIC = b"cars-hw kept 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_SUFFIX = ".kept"
_NAME = re.compile(r"[0-9a-f]{64}\.kept")

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def key_of(*texts: str) -> str:
    """Return the key of what follows from ``texts``, in their order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


@lru_cache(maxsize=64)
def code_digest(*packages: str) -> str:
    """Return a digest of the Python files of packages, and of those below them.

    Raises:
        ModuleNotFoundError: There is no such package.
    """
    texts = list[str]()
    for package in packages:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(f"no package {package}", name=package)
        for folder in map(Path, found.submodule_search_locations):
            for path in sorted(folder.rglob("*.py")):
                texts += [package, path.relative_to(folder).as_posix(), path.read_bytes().hex()]
    return key_of(*texts)


class KeptFiles:
    """Files of one kind; any number of processes may read and write them at once.

    Args:
        name: Of their folder, below that of all caches.
        max_bytes: What all of them together may take.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name, self._max_bytes = name, max_bytes

    def __repr__(self) -> str:
        return f"<kept files in {self.folder}, up to {self._max_bytes} bytes>"

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return cache_folder() / self._name

    def read(self, key: str) -> bytes | None:
        """Return what was kept under ``key``, of ``key_of``; ``None`` where that is nothing, or damaged."""
        path = self._path(key)
        try:
            if not self._is_ours():
                return None
            held = read_regular(path, self._max_bytes)
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST_BYTES
        content = held[start:]
        if held[:start] != _MAGIC + hashlib.sha256(content).digest():
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)  # it was used; see ``_make_room``
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keep ``content`` under ``key``; not where it is too large, or the folder cannot be written to."""
        size_bytes = len(_MAGIC) + _DIGEST_BYTES + len(content)
        if size_bytes > self._max_bytes:
            return
        path = self._path(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._is_ours():
                _warn_once(f"{self.folder} is not used, since others may write to it; remove it")
                return
            self._make_room(size_bytes)
            temporary = temporary_in(self.folder)
            try:
                temporary.write_bytes(_MAGIC + hashlib.sha256(content).digest() + content)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or error
            _warn_once(
                f"{self.folder} cannot be written to: {reason}; set XDG_CACHE_HOME to a folder that you may "
                "write to, with room"
            )

    def _path(self, key: str) -> Path:
        name = f"{key}{_SUFFIX}"
        if not _NAME.fullmatch(name):
            raise ValueError(f"{key!r:.80} is no key")
        return self.folder / name

    def _is_ours(self) -> bool:
        """Tell whether nobody else may write to the folder, as far as the system knows users."""
        found = self.folder.lstat()
        if not hasattr(os, "geteuid"):  # Windows
            return stat.S_ISDIR(found.st_mode)
        is_private = found.st_uid == os.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS
        return stat.S_ISDIR(found.st_mode) and is_private

    def _make_room(self, size_bytes: int) -> None:
        """Remove the files that were not used for longest, until another of ``size_bytes`` has room."""
        remove_stale(self.folder)
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total + size_bytes <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield, for each file, when it was last used, its size in bytes, and where it is."""
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):  # another process has removed it
                    found = path.lstat()
                    yield found.st_mtime_ns, found.st_size, path


@lru_cache(maxsize=8)
def _warn_once(message: str) -> None:
    logger.warning("%s; until then, what could be kept is made again each time", message)
