"""What straw says: enough words to stream, and who said them."""

import re

import msgspec

_WORD = re.compile(r"\s*\S+")
_PIECE_CHARS = 8


def saying(provider: str, model: str) -> str:
    """The answer to everything: it names its provider and model, so that one sees where a request went."""
    return f"Hello from {provider}, this is {model} speaking. I am made of straw, so every question gets this answer."


def tokens(text: str) -> list[str]:
    """A text cut into tokens, here words with the space before them."""
    return _WORD.findall(text)


def count_tokens(value: object) -> int:
    """The tokens of a text; of anything else that a request may hold, a plausible number."""
    if isinstance(value, str):
        return max(1, len(tokens(value)))
    return max(1, len(msgspec.json.encode(value)) // 4)


def arguments_for(schema: object) -> str:
    """The JSON of arguments that a JSON schema of an object accepts, as far as its properties' types tell."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    known = properties if isinstance(properties, dict) else {}
    return msgspec.json.encode({name: _example(name, kind) for name, kind in known.items()}).decode()


def pieces(json: str) -> list[str]:
    """JSON cut anywhere, as providers stream a tool's arguments."""
    return [json[start : start + _PIECE_CHARS] for start in range(0, len(json), _PIECE_CHARS)]


def _example(name: str, schema: object) -> object:
    if not isinstance(schema, dict):
        return f"some {name}"
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    examples = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}
    return examples.get(str(schema.get("type")), f"some {name}")
