"""Plug-ins are files: modules without a leading underscore, each with one class that fulfils the contract."""

import importlib
import inspect
import pkgutil
import re
from typing import TypeVar

from devices.foundation.errors import CarsHwError, UnknownNameError

T = TypeVar("T")

_MODULE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def plugin_names(package: str) -> tuple[str, ...]:
    """List the plug-ins of ``package`` in alphabetical order, without importing them."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return tuple(
        sorted(module.name for module in modules if not module.ispkg and not module.name.startswith("_"))
    )


def load_plugin(package: str | None, name: str, base: type[T], *, what: str) -> type[T]:
    """Return the single subclass of ``base`` that the plug-in file ``name`` defines.

    Args:
        package: The plug-in folder as a module path, ``"cars_hw.spaces"``; ``None`` where plug-ins are all
            from outside.
        name: A file of that folder, or, with a dot, a module from outside the project.
        base: The contract that the class fulfils.
        what: What a plug-in of the folder is, in the singular, for messages.

    Raises:
        UnknownNameError: No such file or module.
        CarsHwError: The module does not define exactly one subclass.
    """
    known = () if package is None else plugin_names(package)
    outside = "." in name
    if not _MODULE_NAME.fullmatch(name) or (not outside and name not in known):
        raise UnknownNameError(what, name, known)
    module_name = name if outside else f"{package}.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # the plug-in exists; something that it imports does not
        raise UnknownNameError(what, name, known) from error
    found = [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, base)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    ]
    if len(found) != 1:
        raise CarsHwError(
            f"{module_name} defines {len(found)} {base.__name__} classes, but a plug-in defines one"
        )
    return found[0]


def plugin_name(plugin: type) -> str:
    """Return the name by which ``plugin`` is loaded: its file's, or, of one from outside, its module's."""
    module = plugin.__module__
    package, _, file_name = module.rpartition(".")
    contracts = [owner for owner in plugin.__mro__ if inspect.isabstract(owner)]
    # The contract is the farthest abstract class; it lies in the plug-in folder.
    is_ours = bool(contracts) and contracts[-1].__module__.rpartition(".")[0] == package
    return file_name if is_ours else module
