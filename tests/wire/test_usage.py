"""Tokens are counted as the provider tells them, in each protocol, streamed or not."""

import pytest

from proxy.wire import UNCOUNTED, Tokens, UsageWatch, tokens_in

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


# As Anthropic streams: the input is counted in the first event, the output in the first and the last.
START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}\n\n'
TEXT = b'event: content_block_delta\ndata: {"delta":{"text":"a token, as \\"usage\\" says"}}\n\n'
END = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":15}}\n\n'


@pytest.mark.parametrize(
    "pieces",
    [[START, TEXT, END], [START + TEXT, END], [START, TEXT + END], [START + TEXT + END], [START, END + TEXT]],
    ids=["apart", "first two", "last two", "in one", "text last"],
)
def test_both_counts_are_found_wherever_a_stream_was_cut(pieces: list[bytes]) -> None:
    """Also where several events come in one piece."""
    watch = UsageWatch()
    for piece in pieces:
        watch.feed(piece)
    assert watch.tokens() == Tokens(25, 15)


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (b'{"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}', Tokens(4, 2)),
        (b'{"usage":{"input_tokens":4,"input_tokens_details":{"cached_tokens":1},"output_tokens":2}}', Tokens(4, 2)),
        (b'{"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2}}', Tokens(4, 2)),
        (b'{"usage":{"completion_tokens":2,"prompt_tokens":4}}', Tokens(4, 2)),
        (b'{"usage":{"input_tokens":4,"cache":{"read_input_tokens":9},"output_tokens":2}}', Tokens(4, 2)),
        (
            b'{"usage":{"input_tokens":7,"output_tokens":7}}, {"usage":{"input_tokens":4,"output_tokens":2}}',
            Tokens(4, 2),
        ),
        (b'{"data":[],"usage":{"prompt_tokens":4,"total_tokens":4}}', Tokens(4, None)),
        (
            b'{"data": [' + b"0.1, " * 100_000 + b'0], "usage": {"prompt_tokens": 8, "total_tokens": 8}}',
            Tokens(8, None),
        ),
        (b'{"text":"a token"}', UNCOUNTED),
        (b"", UNCOUNTED),
    ],
)
def test_a_whole_answer(answer: bytes, counted: Tokens) -> None:
    """An answer that is all here is looked into as it is, in whatever order it counts."""
    assert tokens_in(answer) == counted
