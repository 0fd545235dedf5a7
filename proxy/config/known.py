"""Providers that need only a key: what is public knowledge of each, as data.

Base URLs are those that the provider's documentation gives for its protocol's SDK. The URL of a second protocol is kept
relative to the first, so that a provider derived from this one moves as a whole.
"""

import msgspec

from proxy.config.settings import AuthStyle
from proxy.errors import Protocol


class KnownProtocol(msgspec.Struct, frozen=True):
    """One protocol of a known provider, below its base URL."""

    path: str = ""
    auth: AuthStyle | None = None
    """None: as is usual in the protocol."""
    only: tuple[str, ...] = ()
    """The operations there are; empty: all of them."""


class KnownProvider(msgspec.Struct, frozen=True):
    """A provider that the config file can name without saying more."""

    base_url: str
    protocols: dict[Protocol, KnownProtocol]
    key_variable: str | None = None
    """The environment variable that its own SDK takes the key from; None for what runs locally."""
    endpoint_variable: str | None = None
    """The environment variable of the host, where each customer has one of its own; `base_url` is then below it."""


USUAL_AUTH = {
    Protocol.OPENAI: AuthStyle.BEARER,
    Protocol.ANTHROPIC: AuthStyle.X_API_KEY,
    Protocol.GEMINI: AuthStyle.X_GOOG_API_KEY,
}

_OPENAI = {Protocol.OPENAI: KnownProtocol()}
_BOTH = {Protocol.OPENAI: KnownProtocol(), Protocol.ANTHROPIC: KnownProtocol(auth=AuthStyle.BEARER)}
# https://ai.google.dev/gemini-api/docs/openai
_GEMINI = {
    Protocol.GEMINI: KnownProtocol(),
    Protocol.OPENAI: KnownProtocol("/openai", only=("chat/completions", "embeddings", "images/generations")),
}
_GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"

KNOWN_PROVIDERS: dict[str, KnownProvider] = {
    "openai": KnownProvider("https://api.openai.com/v1", _OPENAI, "OPENAI_API_KEY"),
    # https://platform.claude.com/docs/en/api/openai-sdk
    "anthropic": KnownProvider(
        "https://api.anthropic.com/v1",
        {Protocol.ANTHROPIC: KnownProtocol(), Protocol.OPENAI: KnownProtocol(only=("chat/completions",))},
        "ANTHROPIC_API_KEY",
    ),
    "google": KnownProvider(_GEMINI_URL, _GEMINI, "GOOGLE_API_KEY"),
    "gemini": KnownProvider(_GEMINI_URL, _GEMINI, "GEMINI_API_KEY"),
    "azure-openai": KnownProvider(
        "/openai/v1",
        {Protocol.OPENAI: KnownProtocol(auth=AuthStyle.API_KEY)},
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_ENDPOINT",
    ),
    "openrouter": KnownProvider("https://openrouter.ai/api/v1", _BOTH, "OPENROUTER_API_KEY"),
    "mistral": KnownProvider("https://api.mistral.ai/v1", _OPENAI, "MISTRAL_API_KEY"),
    "groq": KnownProvider("https://api.groq.com/openai/v1", _OPENAI, "GROQ_API_KEY"),
    "deepseek": KnownProvider(
        "https://api.deepseek.com",
        {Protocol.OPENAI: KnownProtocol(), Protocol.ANTHROPIC: KnownProtocol("/anthropic")},
        "DEEPSEEK_API_KEY",
    ),
    "together": KnownProvider("https://api.together.xyz/v1", _OPENAI, "TOGETHER_API_KEY"),
    "fireworks": KnownProvider("https://api.fireworks.ai/inference/v1", _OPENAI, "FIREWORKS_API_KEY"),
    "xai": KnownProvider("https://api.x.ai/v1", _OPENAI, "XAI_API_KEY"),
    "cerebras": KnownProvider("https://api.cerebras.ai/v1", _OPENAI, "CEREBRAS_API_KEY"),
    "cohere": KnownProvider("https://api.cohere.ai/compatibility/v1", _OPENAI, "COHERE_API_KEY"),
    "perplexity": KnownProvider("https://api.perplexity.ai", _OPENAI, "PERPLEXITY_API_KEY"),
    "ollama": KnownProvider("http://127.0.0.1:11434/v1", _BOTH),
    "vllm": KnownProvider("http://127.0.0.1:8000/v1", _BOTH),
    "lm-studio": KnownProvider("http://127.0.0.1:1234/v1", _BOTH),
}
