"""This computer's key for phones, where adb keeps it: ``~/.android/adbkey``, made as adb makes it."""

import base64
import logging
import os
import shutil
import stat
from pathlib import Path

from adb_shell.auth import keygen
from adb_shell.auth.sign_cryptography import CryptographySigner

from devices._errors import DeviceError
from devices.foundation.files import read_regular
from devices.foundation.temporaries import remove_stale, temporary_in

#: A key takes 2 KB.
_MAX_BYTES = 1 << 16

logger = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return the folder in which adb keeps its key."""
    return Path.home() / ".android"


class Key:
    """The private key of a folder, made when there is none. It is never logged nor written elsewhere.

    Args:
        folder: Holds, or will hold, ``adbkey`` and ``adbkey.pub``.

    Raises:
        DeviceError: It cannot be read, made, or understood.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "adbkey"
        try:
            if not path.exists():
                _make(folder)
            _warn_if_loose(path)
            read_regular(path, _MAX_BYTES)  # what would be no key, and without an end
            if not path.with_suffix(".pub").exists():
                _complete(path)
            read_regular(path.with_suffix(".pub"), _MAX_BYTES)
            self._signer = CryptographySigner(str(path))
        except (OSError, ValueError, TypeError) as error:
            reason = type(error).__name__ if isinstance(error, ValueError | TypeError) else error.strerror
            raise DeviceError(
                f"{path} is no usable key ({reason}); move it away, and a new one is made"
            ) from error

    def sign(self, token: bytes) -> bytes:
        """Return the signature of ``token``."""
        signature: bytes = self._signer.Sign(token)
        return signature

    def public_key(self) -> bytes:
        """Return the public half, as phones keep it."""
        public: bytes = self._signer.GetPublicKey()
        return public.strip()


def _make(folder: Path) -> None:
    """Make a key that nobody else can read at any moment, whatever the umask, and clobber none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_stale(folder)
    private = temporary_in(folder)
    private.mkdir(mode=0o700)
    try:
        made = private / "adbkey"
        keygen.keygen(str(made))
        made.chmod(0o600)
        public = made.with_suffix(".pub")
        public.chmod(0o600)
        try:
            os.link(made, folder / "adbkey")
        except FileExistsError:
            return  # somebody else was faster; that key holds
        os.replace(public, folder / "adbkey.pub")
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _complete(path: Path) -> None:
    """Write the public half beside a private key that lacks it; newer versions of adb leave it out."""
    text = base64.b64encode(keygen.encode_pubkey(str(path))) + b" cars_hw"
    try:
        descriptor = os.open(path.with_suffix(".pub"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return  # somebody else was faster
    with open(descriptor, "wb") as file:
        file.write(text)


def _warn_if_loose(path: Path) -> None:
    open_to_others = stat.S_IRWXG | stat.S_IRWXO
    if path.stat().st_mode & open_to_others:
        logger.warning("others may read %s, which opens your phones; run: chmod 600 %s", path, path)
    if path.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        logger.warning("others may replace %s; run: chmod 700 %s", path, path.parent)
