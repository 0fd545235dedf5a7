"""How a straw provider falls ill: each fault by itself, any of them together, switched while it runs.

A request keeps the faults that there were when it arrived. `delivery` makes them bite, for every API alike.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

# At most a day: what is more was meant in another unit.
Milliseconds = Annotated[float, Meta(ge=0, le=86_400_000)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a provider just now; nothing, if made without arguments.

    An *event* is a server-sent event, an element of Gemini's JSON array, or a message of the realtime WebSocket.
    """

    latency_ms: Milliseconds = 0
    """Added before the head of each answer."""
    first_byte_stall_s: Seconds = 0
    """Silence before the head of each answer, for as long as a time limit takes to notice."""
    error_rate: Share = 0
    """The share of requests that are answered with `error_status`."""
    error_status: Annotated[int, Meta(ge=400, le=599)] = 500
    """The status of those errors, with the body that the protocol has for it."""
    rate_limited: bool = False
    """Answer everything with 429."""
    retry_after_s: Count | None = None
    """`Retry-After` of those 429s, in seconds; None: without."""
    reset_before_head: bool = False
    """Reset the connection (TCP RST) instead of answering."""
    reset_mid_stream_after: Count | None = None
    """Reset the connection after so many events, or in the middle of an answer in one piece."""
    stall_mid_stream_after: Count | None = None
    """Fall silent after so many events, until the client gives up."""
    drip_ms: Milliseconds | None = None
    """The pause between events, instead of the provider's own pace."""
