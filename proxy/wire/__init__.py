"""What the bytes mean: which model a request names, where, and what may pass through. Pure: no I/O, no event loop."""

from proxy.wire.affinity import affinity_key
from proxy.wire.call import Call, ModelPlace, parse_call
from proxy.wire.content_encoding import ContentDecoder
from proxy.wire.first_content import Preamble, Stage, ends_in_error
from proxy.wire.headers import (
    HANDSHAKE,
    NOT_FORWARDED,
    NOT_RETURNED,
    Field,
    Head,
    HeadReader,
)
from proxy.wire.json_model import Document, ModelInBody, find_model, splice_model
from proxy.wire.model_name import check_model_name
from proxy.wire.multipart import MultipartModel, boundary_of
from proxy.wire.refusal import FAILURE_OF_STATUS, asked_pause_s, says_prompt_too_long
from proxy.wire.sse import BOUNDARY_BYTES, ends_event, error_event, has_plain_events
from proxy.wire.usage import UNCOUNTED, Tokens, UsageWatch, tokens_in

__all__ = [
    "BOUNDARY_BYTES",
    "FAILURE_OF_STATUS",
    "HANDSHAKE",
    "NOT_FORWARDED",
    "NOT_RETURNED",
    "UNCOUNTED",
    "Call",
    "ContentDecoder",
    "Document",
    "Field",
    "Head",
    "HeadReader",
    "ModelInBody",
    "ModelPlace",
    "MultipartModel",
    "Preamble",
    "Stage",
    "Tokens",
    "UsageWatch",
    "affinity_key",
    "asked_pause_s",
    "boundary_of",
    "check_model_name",
    "ends_event",
    "ends_in_error",
    "error_event",
    "find_model",
    "has_plain_events",
    "parse_call",
    "says_prompt_too_long",
    "splice_model",
    "tokens_in",
]
