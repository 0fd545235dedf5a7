"""Tokens are counted as the answer goes by, however it comes in pieces."""

import pytest

from proxy.wire import UNCOUNTED, Tokens, UsageWatch, tokens_in

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
        (b'{"text":"a token"}', UNCOUNTED),
        (b"", UNCOUNTED),
    ],
)
def test_the_counts_of_every_api_are_known(answer: bytes, counted: Tokens) -> None:
    assert tokens_in(answer) == counted
