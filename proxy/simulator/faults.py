"""How a straw provider falls ill: each fault by itself, any of them together, switched while it runs."""

from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a provider just now; nothing, if made without arguments."""

    latency_ms: NotNegative = 0
    """Added before the head of each answer."""
    first_byte_stall_s: NotNegative = 0
    """Silence before the head of each answer, for as long as a time limit takes to notice."""
    error_rate: Share = 0
    """The share of requests that are answered with `error_status`."""
    error_status: Annotated[int, Meta(ge=400, le=599)] = 500
    """The status of those errors, with the body that the protocol has for it."""
    rate_limited: bool = False
    """Answer everything with 429."""
    retry_after_s: Count | None = None
    """`Retry-After` of those 429s; None: without."""
    reset_before_head: bool = False
    """Reset the connection instead of answering."""
    reset_mid_stream_after: Count | None = None
    """Reset the connection after so many events of a stream, or in the middle of any other answer."""
    stall_mid_stream_after: Count | None = None
    """Fall silent after so many events of a stream."""
    drip_ms: NotNegative | None = None
    """The pause between the events of a stream, instead of the provider's own pace."""
