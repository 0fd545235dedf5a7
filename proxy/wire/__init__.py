"""What the bytes mean: which model a request names, where, and what may pass through. Pure: no I/O, no event loop."""

from proxy.wire.call import Call, ModelPlace, parse_call
from proxy.wire.content_encoding import ContentDecoder
from proxy.wire.headers import request_headers, response_headers
from proxy.wire.json_model import ModelInBody, find_model, splice_model
from proxy.wire.model_name import check_model_name
from proxy.wire.multipart import MultipartModel, boundary_of
from proxy.wire.sse import EventBoundary, error_event

__all__ = [
    "Call",
    "ContentDecoder",
    "EventBoundary",
    "ModelInBody",
    "ModelPlace",
    "MultipartModel",
    "boundary_of",
    "check_model_name",
    "error_event",
    "find_model",
    "parse_call",
    "request_headers",
    "response_headers",
    "splice_model",
]
