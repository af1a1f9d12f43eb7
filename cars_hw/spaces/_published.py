"""What published forms of architectures have in common: each key is understood, or the form is refused."""

from collections.abc import Collection, Mapping

from cars_hw.errors import ArchitectureError


def require_known(description: Mapping[object, object], known: Collection[str], what: str) -> None:
    """Check that every key of ``description`` is understood: one that is passed over may change the network.

    Args:
        description: A published form, not trusted.
        known: The keys that are read.
        what: What the description is of, for the message.

    Raises:
        ArchitectureError: Naming the others.
    """
    others = [str(key)[:64] for key in description if key not in known]
    if others:
        named = ", ".join(map(repr, others[:8])) + (" and more" if len(others) > 8 else "")
        raise ArchitectureError(
            f"{what} has keys that are not understood: {named} (known: {', '.join(known)}); "
            "take them out where they do not change the network"
        )
