"""What a provider's refusal means for the next try: what failed, whether the prompt was too long, when to come back."""

import re
import time
from email.utils import parsedate_to_datetime

from proxy.errors import Failure
from proxy.wire.headers import Head

FAILURE_OF_STATUS = {
    401: Failure.UNAUTHORIZED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    408: Failure.UNAVAILABLE,
    429: Failure.RATE_LIMITED,
    500: Failure.UNAVAILABLE,
    502: Failure.UNAVAILABLE,
    503: Failure.UNAVAILABLE,
    504: Failure.UNAVAILABLE,
    529: Failure.UNAVAILABLE,
}
"""What a provider's status is a failure of, where another endpoint may mend it."""

# OpenAI and what is compatible (`context_length_exceeded`, vLLM's and Mistral's `maximum context length`), Anthropic
# (`prompt is too long`), Gemini (`input token count (…) exceeds the maximum`), Bedrock (`Input is too long`), Groq.
_TOO_LONG = re.compile(
    rb"context_length_exceeded|context length|context window|prompt is too long|input is too long"
    rb"|token count.{0,40}exceeds|reduce the length of the messages|too many tokens",
    re.IGNORECASE,
)


def says_prompt_too_long(body: bytes) -> bool:
    """Whether the body of a 400 says that the prompt doesn't fit into the model's context."""
    return _TOO_LONG.search(body) is not None


def asked_pause_s(head: Head) -> float | None:
    """How long the provider asks to be left alone, in seconds from now; None if it doesn't say, or not in time to come.

    `retry-after-ms` is OpenAI's and Azure's, `Retry-After` gives seconds or a date (RFC 9110 §10.2.3).
    """
    try:
        if (milliseconds := head.text(b"retry-after-ms")) != "":
            return _positive(float(milliseconds) / 1000)
        if (written := head.text(b"retry-after").strip()) == "":
            return None
        if written[0].isdigit():
            return _positive(float(written))
        return _positive(parsedate_to_datetime(written).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _positive(seconds: float) -> float | None:
    return seconds if 0 < seconds < float("inf") else None
