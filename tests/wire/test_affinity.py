"""What tells that requests belong together."""

import pytest

from proxy.wire import affinity_key


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"user":"u","prompt_cache_key":"k"}', "k"),
        (b'{"user":"u"}', "u"),
        (b'{"metadata":{"user_id":"a"}}', "a"),
        (b'{"user":7}', ""),
        (b'{"user":""}', ""),
        (b'{"user":"","metadata":{"user_id":"a"}}', "a"),
        (b'{"user":{"id":1},"metadata":{"user_id":"a"}}', "a"),
        (b'{"user":"u","metadata":"text"}', "u"),
        (b'{"metadata":"text"}', ""),
        (b'{"metadata":{"user_id":7}}', ""),
        (b'{"metadata":null,"prompt_cache_key":null}', ""),
        (b'{"prompt_cache_key":"\\ud83d"}', ""),
        (b'{"messages":[{"user":"inner"}],"input":{"prompt_cache_key":"inner"}}', ""),
        (b"{}", ""),
        (b"not JSON", ""),
    ],
)
def test_affinity(body: bytes, key: str) -> None:
    """The first of the three that is text and not empty."""
    assert affinity_key(body) == key
