"""Taking a provider's secrets out of what it says: some repeat the key that they refuse."""

from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

from proxy.config.settings import Provider

MASK = "***"
# So many characters in a row of a secret, from anywhere in it, are taken for a piece of it.
_WINDOW = 8


def masked(text: str, provider: Provider) -> str:
    """The text with a mask for every piece of the provider's key, of its headers' values and its proxy's password.

    Its cost grows with the text, which is to be bounded before.
    """
    hidden = [False] * len(text)
    for secret in _secrets(provider):
        pieces = {secret[at : at + _WINDOW] for at in range(max(1, len(secret) - _WINDOW + 1))}
        size = min(_WINDOW, len(secret))
        for at in range(len(text) - size + 1):
            if text[at : at + size] in pieces:
                hidden[at : at + size] = [True] * size
    shown = (
        "" if is_hidden and at and hidden[at - 1] else MASK if is_hidden else character
        for at, (character, is_hidden) in enumerate(zip(text, hidden, strict=True))
    )
    return "".join(shown)


def _secrets(provider: Provider) -> Iterator[str]:
    if key := provider.api_key.reveal():
        yield key
        yield quote(key, safe="")
    for _, value in provider.headers:
        # `Bearer KEY`; a value of few characters is a setting, not a secret.
        yield from (word for word in value.reveal().split() if len(word) >= _WINDOW)
    if provider.proxy and (password := urlsplit(provider.proxy.reveal()).password):
        yield password
        yield unquote(password)
