"""TLS towards providers: strict, and resumed where the provider allows it.

A resumed handshake saves the provider's certificates and its signature (RFC 8446 §2.2), and in TLS 1.2 a round trip as
well (RFC 5077 §3.1). asyncio and uvloop have no place for the session that it needs, but both begin every connection
with `SSLContext.wrap_bio`, which takes one.
"""

import ssl
from typing import Self


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """How providers are talked to: TLS 1.2 or newer, certificate and host name checked, HTTP/1.1 alone.

    Args:
        ca_bundle: PEM file of the authorities to trust; None for the system's.

    Raises `OSError` if the file can't be used.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class ResumingContext(ssl.SSLContext):
    """Another context for the connections to one server, each of which resumes the session of the one before.

    It holds at most one connection's TLS state and one session. It trusts nobody by itself: whatever doesn't go through
    `wrap_bio` fails.

    Args:
        context: what decides about everything but sessions.
    """

    def __new__(cls, context: ssl.SSLContext) -> Self:  # noqa: ARG004 - ssl.SSLContext takes a protocol instead
        """An empty context, of which OpenSSL never uses anything."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._latest: ssl.SSLObject | None = None
        self._session: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - ssl.SSLContext's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection, with the session seen last unless told otherwise."""
        return self._context.wrap_bio(incoming, outgoing, server_side, server_hostname, session or self._resumable())

    def handshaken(self, connection: ssl.SSLObject) -> None:
        """Let the next connections resume the session of this one, whose handshake is done."""
        self._resumable()
        self._latest = connection

    def forget(self) -> None:
        """Let the next connection begin anew, as after a handshake that failed: the session may be why."""
        self._latest = self._session = None

    def _resumable(self) -> ssl.SSLSession | None:
        # Looked for as late as can be: in TLS 1.3 tickets come behind the handshake (RFC 8446 §4.6.1). Python gives
        # copies, so that OpenSSL's mark on the sessions of connections that were cut off doesn't matter.
        if self._latest is not None and (session := self._latest.session) is not None and session.id:
            self._session, self._latest = session, None
        return self._session
