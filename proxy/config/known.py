"""Providers that need only a key: what they speak, where, and how they want their credential.

Paths are relative to the base URL, so that all protocols of a provider move with it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from proxy.config.settings import AuthStyle
from proxy.errors import Protocol


class KnownProtocol(msgspec.Struct, frozen=True):
    """How a known provider is asked in one protocol."""

    path: str = ""
    """Behind the provider's base URL."""
    auth: AuthStyle | None = None
    """None: the protocol's usual style."""
    only: tuple[str, ...] = ()


class KnownProvider(msgspec.Struct, frozen=True):
    """A provider whose API is public knowledge."""

    base_url: str | None
    protocols: Mapping[Protocol, KnownProtocol] = MappingProxyType({Protocol.OPENAI: KnownProtocol()})
    """The first is the native one."""
    key_variables: tuple[str, ...] = ()
    """Environment variables that may hold its key; the first that does counts. None: usually run without a key."""
    endpoint_variable: str | None = None
    """Where each customer has a host of their own: the environment variable that holds its origin."""
    endpoint_path: str = ""
    """Behind that origin."""

    def key(self, environ: Mapping[str, str]) -> str:
        """The key that the environment holds for it; empty if none."""
        return next(filter(None, map(environ.get, self.key_variables)), "")

    def home(self, environ: Mapping[str, str]) -> str | None:
        """Its own base URL, to which alone the environment's key may go; None if that can't be known."""
        if self.endpoint_variable is None:
            return self.base_url
        origin = environ.get(self.endpoint_variable, "").rstrip("/")
        return f"{origin}{self.endpoint_path}" if origin else None


def _openai_like(base_url: str, *key_variables: str) -> KnownProvider:
    return KnownProvider(base_url, key_variables=key_variables)


_BOTH_WITH_BEARER = {
    Protocol.OPENAI: KnownProtocol(),
    Protocol.ANTHROPIC: KnownProtocol(auth=AuthStyle.BEARER),
}

# https://ai.google.dev/gemini-api/docs/openai
_GEMINI = KnownProvider(
    "https://generativelanguage.googleapis.com/v1beta",
    {Protocol.GEMINI: KnownProtocol(), Protocol.OPENAI: KnownProtocol("/openai")},
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"),  # the order of Google's own SDK
)

KNOWN_PROVIDERS: Mapping[str, KnownProvider] = {
    "openai": _openai_like("https://api.openai.com/v1", "OPENAI_API_KEY"),
    # https://platform.claude.com/docs/en/api/openai-sdk
    "anthropic": KnownProvider(
        "https://api.anthropic.com/v1",
        {Protocol.ANTHROPIC: KnownProtocol(), Protocol.OPENAI: KnownProtocol(only=("chat/completions", "models"))},
        ("ANTHROPIC_API_KEY",),
    ),
    "google": _GEMINI,
    "gemini": _GEMINI,
    # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
    "azure-openai": KnownProvider(
        None,
        {Protocol.OPENAI: KnownProtocol(auth=AuthStyle.API_KEY)},
        ("AZURE_OPENAI_API_KEY",),
        endpoint_variable="AZURE_OPENAI_ENDPOINT",
        endpoint_path="/openai/v1",
    ),
    "openrouter": KnownProvider("https://openrouter.ai/api/v1", _BOTH_WITH_BEARER, ("OPENROUTER_API_KEY",)),
    "mistral": _openai_like("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "groq": _openai_like("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    # https://api-docs.deepseek.com/guides/anthropic_api
    "deepseek": KnownProvider(
        "https://api.deepseek.com",
        {Protocol.OPENAI: KnownProtocol(), Protocol.ANTHROPIC: KnownProtocol("/anthropic")},
        ("DEEPSEEK_API_KEY",),
    ),
    "together": _openai_like("https://api.together.ai/v1", "TOGETHER_API_KEY"),
    # https://docs.fireworks.ai/tools-sdks/anthropic-compatibility
    "fireworks": KnownProvider("https://api.fireworks.ai/inference/v1", _BOTH_WITH_BEARER, ("FIREWORKS_API_KEY",)),
    "xai": _openai_like("https://api.x.ai/v1", "XAI_API_KEY"),
    "cerebras": _openai_like("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    # https://docs.cohere.com/docs/compatibility-api
    "cohere": _openai_like("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", "CO_API_KEY"),
    "perplexity": _openai_like("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    # https://docs.ollama.com/api/anthropic-compatibility
    "ollama": KnownProvider("http://localhost:11434/v1", _BOTH_WITH_BEARER),
    "vllm": KnownProvider("http://localhost:8000/v1", _BOTH_WITH_BEARER),
    # https://lmstudio.ai/docs/developer/anthropic-compat
    "lm-studio": KnownProvider("http://localhost:1234/v1", _BOTH_WITH_BEARER),
}
