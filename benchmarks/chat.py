"""What is asked: chat requests, as they are sent by the benchmark itself, by wrk and by the load generator."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

_TASK = (
    "Summarise the attached incident report for an engineering audience. Keep the timeline, the root cause, the blast "
    "radius and the follow-up actions; leave out names. Quote log lines only where they show the first symptom. "
)
_CHAT = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "max_tokens": 256,
    "messages": [
        {"role": "system", "content": "You are a careful assistant. Answer in plain English, in at most 200 words."},
        {"role": "user", "content": _TASK * 3},
        {
            "role": "assistant",
            "content": 'At 09:14 UTC the queue depth rose from 12 to 4,800 in "orders-eu"; consumers were throttled.',
        },
        {"role": "user", "content": _TASK * 2 + "What changed between 09:10 and 09:14? Answer as bullet points.\n"},
    ],
}
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer sk-client"}


class Request(NamedTuple):
    """One HTTP request."""

    path: str
    body: bytes | None = None
    """None: a GET; else the body of a POST."""
    headers: Mapping[str, str] = _HEADERS

    def raw(self) -> bytes:
        """The request as it goes over the wire."""
        body = self.body or b""
        lines = [f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Door(NamedTuple):
    """Where and how a peer wants to be asked."""

    path: str = "/v1/chat/completions"
    model: str = "gpt-4o"
    headers: Mapping[str, str] = {}
    """Beside, or instead of, the usual ones."""

    def chat(self, *, stream: bool = False, model: str | None = None, extra_bytes: int = 0) -> Request:
        """A chat request of about 1.5 kB, and `extra_bytes` of text in front of its last message's end."""
        chat: dict[str, object] = {**_CHAT, "model": model or self.model}
        if stream:
            chat = {"stream": True, **chat}
        if extra_bytes:
            # As an image would be: one long text without anything to escape.
            chat["messages"] = [{"role": "user", "content": "data:image/png;base64," + "iVBORw0K" * (extra_bytes // 8)}]
        return Request(self.path, msgspec.json.encode(chat), {**_HEADERS, **self.headers})
