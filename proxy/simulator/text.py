"""What straw says: enough words to stream, and who said them."""

import re

import msgspec

_WORD = re.compile(r"\s*\S+")


def saying(provider: str, model: str) -> str:
    """The answer to everything: it names its provider and model, so that one sees where a request went."""
    return f"Hello from {provider}, this is {model} speaking. I am made of straw, so every question gets this answer."


def tokens(text: str) -> list[str]:
    """A text cut into tokens, here words with the space before them."""
    return _WORD.findall(text)


def count_tokens(value: object) -> int:
    """A plausible number of tokens in anything that a request may hold."""
    return max(1, len(msgspec.json.encode(value)) // 4)


def arguments_for(schema: object) -> dict[str, object]:
    """Arguments that a JSON schema of an object accepts, as far as its properties' types tell."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return {name: _example(name, kind) for name, kind in properties.items()} if isinstance(properties, dict) else {}


def _example(name: str, schema: object) -> object:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(schema, dict) and isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    return {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}.get(
        str(kind), f"some {name}"
    )
