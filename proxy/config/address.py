"""A place to listen on."""

import re
from ipaddress import ip_address
from typing import Self

import msgspec


class Address(msgspec.Struct, frozen=True):
    """A TCP address to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, an IPv6 host in brackets; port 0 takes a free one.

        Raises `ValueError`, which says what was expected.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found["port"]) > 65_535 or (found["ipv6"] and not _is_ip(found["ipv6"])):
            raise ValueError("HOST:PORT, such as 127.0.0.1:8787 or [::1]:8787")
        return cls(found["ipv6"] or found["name"], int(found["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.host).is_loopback if _is_ip(self.host) else self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})", re.ASCII)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
