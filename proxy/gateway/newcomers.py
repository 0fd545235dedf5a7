"""Leaving new connections to another process that listens at the same address (SO_REUSEPORT).

The kernel gives each new connection to one of the listening sockets, and resets what is half made once that is closed.
A filter on the socket that is about to close drops the first packet (SYN) of each new connection and lets those that
have begun go on; a client whose first packet was dropped sends it again after a second, and gets to the other process.
"""

import ctypes
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# linux/filter.h, code, jump if true, jump if false, operand: load the byte of the TCP flags, and drop if SYN is set.
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF_FFFF))
)


def turn_away(listening: socket.socket) -> bool:
    """Let nobody new get connected to a listening socket; False where the system can't do that."""
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(_DROP_SYN)
    try:
        listening.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
        )
    except OSError:
        return False
    return True
