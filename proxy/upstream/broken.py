"""How an exchange with a provider can break, and how far it had come: what decides whether it can be tried again."""

from enum import StrEnum, auto


class Phase(StrEnum):
    """How far an exchange had come when it broke."""

    CONNECT = auto()
    TLS = auto()
    SEND = auto()
    """The request was on its way out."""
    HEAD = auto()
    """The request was sent, and the head of the answer was not here."""
    BODY = auto()


class BrokenError(Exception):
    """An exchange that can't go on.

    Attributes:
        reason: what happened, as the end of a sentence that begins with the provider.
        phase: how far it had come.
        sent: whether any byte of the request may have reached the provider.
        received: whether any byte of the answer had come.
        reused: whether the connection had served before. One that broke with nothing received may then have been closed
            before the request arrived; that the provider hasn't read it all the same can't be known (RFC 9112 §9.3.1).
    """

    def __init__(
        self, reason: str, phase: Phase, *, sent: bool = False, received: bool = False, reused: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.phase = phase
        self.sent = sent
        self.received = received
        self.reused = reused


class SilenceError(BrokenError):
    """The provider took longer than its time limit."""
