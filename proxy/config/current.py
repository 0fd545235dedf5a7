"""The settings in force, and what a reload makes of them."""

from collections.abc import Mapping

import msgspec

from proxy.config.settings import Settings


class Current:
    """Holds the settings in force, for whoever must see the newest: a reload replaces them all in one step.

    Args:
        settings: those at the start.
    """

    __slots__ = ("settings",)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Changes(msgspec.Struct, frozen=True):
    """The names that were added, changed and removed, each sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = (f"{what} {', '.join(names)}" for what, names in msgspec.structs.asdict(self).items() if names)
        return "; ".join(said) or "unchanged"


def changes(old: Mapping[str, object], new: Mapping[str, object]) -> Changes:
    """What became of each name."""
    return Changes(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
        tuple(sorted(old.keys() - new.keys())),
    )


def in_force(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """What of new settings can take effect while the program runs, and the keys that wait for a restart."""
    server = msgspec.structs.replace(new.server, listen=old.server.listen, reuse_port=old.server.reuse_port)
    admin = msgspec.structs.replace(new.admin, listen=old.admin.listen)
    waiting = (
        ("server.listen", new.server.listen != old.server.listen),
        ("server.reuse_port", new.server.reuse_port != old.server.reuse_port),
        ("admin.listen", new.admin.listen != old.admin.listen),
        ("tracing", new.tracing != old.tracing),
    )
    kept = msgspec.structs.replace(new, server=server, admin=admin, tracing=old.tracing)
    return kept, tuple(key for key, has_changed in waiting if has_changed)
