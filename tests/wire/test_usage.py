"""Tokens are counted as the provider tells them, in each protocol, streamed or not."""

import pytest

from proxy.wire import Tokens, UsageWatch

CHAT = b'{"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}'
RESPONSES = b'{"usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 3}}'
GEMINI = b'{"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 9, "totalTokenCount": 13}}'


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        ([CHAT], Tokens(12, 5)),
        (
            [b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n', b"data: " + CHAT, b"data: [DONE]\n\n"],
            Tokens(12, 5),
        ),
        ([RESPONSES], Tokens(7, 3)),
        (
            [
                b'data: {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}\n\n',
                b'data: {"type": "content_block_delta", "delta": {"text": "hi"}}\n\n',
                b'data: {"type": "message_delta", "usage": {"output_tokens": 15}}\n\n',
                b'data: {"type": "message_stop"}\n\n',
            ],
            Tokens(25, 15),
        ),
        ([GEMINI, GEMINI.replace(b"9", b"11")], Tokens(4, 11)),
        (
            [b'{"data": [' + b"0.1, " * 100_000 + b'0], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'],
            Tokens(8, None),
        ),
        ([b'{"error": {"message": "no"}}'], Tokens(None, None)),
        ([], Tokens(None, None)),
    ],
    ids=["chat", "chat streamed", "responses", "anthropic", "gemini", "embeddings", "error", "nothing"],
)
def test_tokens(pieces: list[bytes], tokens: Tokens) -> None:
    """The counts at the end of an answer hold, however it is spelled in this protocol."""
    usage = UsageWatch()
    for piece in pieces:
        usage.feed(piece)

    assert usage.tokens() == tokens


def test_a_whole_answer() -> None:
    """An answer that is all here is looked into as it is."""
    assert UsageWatch(CHAT).tokens() == Tokens(12, 5)
