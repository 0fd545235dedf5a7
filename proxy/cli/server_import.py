"""Importing the server, which is most of a start, without what it is not there for."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Where OpenSSL looks for the system's authorities, if it is set.
_AUTHORITIES: Final = "SSL_CERT_FILE"


@contextmanager
def importing_a_server() -> Iterator[None]:
    """Spare what is imported meanwhile two things that take a quarter of it.

    All of it is there to stay: it is not looked through for garbage. And aiohttp's client, which comes with its server
    and which no server here uses, reads the system's authorities: it finds none, and would trust nobody.
    """
    authorities = os.environ.get(_AUTHORITIES)
    gc.disable()
    os.environ[_AUTHORITIES] = os.devnull
    try:
        yield
    finally:
        if authorities is None:
            del os.environ[_AUTHORITIES]
        else:
            os.environ[_AUTHORITIES] = authorities
        gc.freeze()
        gc.enable()
