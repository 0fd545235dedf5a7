"""What a path and a query ask for, and where the same is asked at a provider."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidRequestError, NotFoundError, Protocol, ProxyError
from proxy.wire import ModelPlace, parse_call

SECRET = "sk-of-the-client"


@pytest.mark.parametrize(
    ("path", "query", "protocol", "place", "operation", "model"),
    [
        ("/v1/chat/completions", "", Protocol.OPENAI, ModelPlace.BODY, "chat/completions", None),
        ("/openai/v1/chat/completions", "", Protocol.OPENAI, ModelPlace.BODY, "chat/completions", None),
        ("/api/v1/v1/x", "", Protocol.OPENAI, ModelPlace.BODY, "v1/x", None),
        ("/v1/messages", "beta=true", Protocol.ANTHROPIC, ModelPlace.BODY, "messages", None),
        ("/anthropic/v1/messages/count_tokens", "", Protocol.ANTHROPIC, ModelPlace.BODY, "messages/count_tokens", None),
        ("/v1/messages-of-mine", "", Protocol.OPENAI, ModelPlace.BODY, "messages-of-mine", None),
        ("/v1beta/models/a:countTokens", "", Protocol.GEMINI, ModelPlace.PATH, "models:countTokens", "a"),
        ("/v1/models/x%2Fy:z:embedContent", "", Protocol.GEMINI, ModelPlace.PATH, "models:embedContent", "x/y:z"),
        ("/v1beta/models/x/y:generateContent", "", Protocol.GEMINI, ModelPlace.PATH, "models:generateContent", "x/y"),
        ("/v1/realtime", "a=1&model=m%20n", Protocol.OPENAI, ModelPlace.QUERY, "realtime", "m n"),
    ],
)
def test_what_is_asked(
    path: str, query: str, protocol: Protocol, place: ModelPlace, operation: str, model: str | None
) -> None:
    """Protocol, operation and model, whatever prefix the client has."""
    call = parse_call(path, query)

    assert (call.protocol, call.place, call.operation, call.model) == (protocol, place, operation, model)


@pytest.mark.parametrize(
    ("path", "query", "base_url", "model_id", "url"),
    [
        ("/v1/chat/completions", "", "https://h/v1", "m", "https://h/v1/chat/completions"),
        ("/x/v1/chat/completions", "a=%20&b", "https://h", "m", "https://h/chat/completions?a=%20&b"),
        ("/v1/embeddings", "a&key=k&api-key=k&api_key=k&access_token=k", "https://h", "m", "https://h/embeddings?a"),
        ("/v1/messages", "Key=k", "https://h/v1", "m", "https://h/v1/messages"),
        ("/v1/realtime", "api-key=k&model=a", "wss://h/v1", "b", "wss://h/v1/realtime?model=b"),
        ("/v1/messages", "beta=true", "https://h/v1", "m", "https://h/v1/messages?beta=true"),
        ("/v1/messages", "", "https://h/anthropic", "m", "https://h/anthropic/v1/messages"),
        ("/v1beta/models/a:x", "alt=sse", "https://h/v1beta", "m", "https://h/v1beta/models/m:x?alt=sse"),
        ("/v1/models/a:x", "", "https://h/v1beta", "m", "https://h/v1beta/models/m:x"),
        ("/v1beta/models/a:x", "", "https://h", "o/m:1 ü", "https://h/v1beta/models/o%2Fm:1%20%C3%BC:x"),
        ("/v1beta/models/a%62:x", "key=k&alt=sse&k%65y=l", "https://h", "ab", "https://h/v1beta/models/a%62:x?alt=sse"),
        ("/v1/realtime", "x=%7e&model=a&y", "wss://h/v1", "b&c", "wss://h/v1/realtime?x=%7e&model=b%26c&y"),
        ("/v1/realtime", "model=a&m%6fdel=b", "wss://h/v1", "b", "wss://h/v1/realtime?model=b&m%6fdel=b"),
    ],
)
def test_where_it_is_asked(path: str, query: str, base_url: str, model_id: str, url: str) -> None:
    """The base URL's own path and version, the target's model id, and every other byte as it was."""
    assert parse_call(path, query).url(base_url, model_id) == url


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../x",
        "/v1/./x",
        "/v1/..",
        "/v1/%2e%2E/x",
        "/v1/a%2f..",
        "/v1/a/%2e%2e%2fadmin",
        "/v1//x",
        "/v1/a\\b",
        "/v1/a%5cb",
        "/v1/..;/x",
        "/v1beta/models/a/../b:x",
    ],
)
def test_paths_that_could_climb(path: str) -> None:
    """A path that could leave the provider's base URL is refused, percent-encoded or not."""
    with pytest.raises(InvalidRequestError):
        parse_call(path, "")


@pytest.mark.parametrize("path", ["/", "/chat/completions", "/v2/chat", "/v1", "/v1x/y", "/v1beta/interactions"])
def test_paths_of_no_api(path: str) -> None:
    """What is under no known version is not found."""
    with pytest.raises(NotFoundError):
        parse_call(path, "")


@pytest.mark.parametrize(
    ("path", "query"),
    [("/v1/realtime", ""), ("/v1/realtime", "model="), ("/v1beta/models/:x", ""), ("/v1beta/models/%00:x", "")],
)
def test_models_that_are_none(path: str, query: str) -> None:
    """A model that is missing or no name is the client's mistake."""
    with pytest.raises(InvalidRequestError) as refused:
        parse_call(path, query)

    assert refused.value.param == "model"


@given(st.text("/v1beta.%2eE5cC\\:models;?#ü", max_size=30), st.text("model=&%2+x", max_size=20))
def test_no_path_leaves_the_base_url(path: str, query: str) -> None:
    """Whatever is accepted stays below the base URL and holds no dot segment."""
    try:
        url = parse_call(path, query).url("https://host/base", "id")
    except ProxyError:
        return

    assert url.startswith("https://host/base/")
    assert not {"..", "."} & set(url.partition("?")[0].lower().replace("%2e", ".").split("/"))


@pytest.mark.parametrize("name", ["key", "api-key", "access_token"])
def test_what_a_client_proves_itself_with_is_in_no_repr(name: str) -> None:
    """A query may hold a credential, and a repr may get into a log."""
    call = parse_call("/v1/realtime", f"model=m&{name}={SECRET}")
    assert call.query.endswith(SECRET)
    assert SECRET not in repr(call)
