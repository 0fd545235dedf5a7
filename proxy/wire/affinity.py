"""What tells that requests belong together, so that they can go to the same place and find its prompt cache warm."""

import msgspec

from proxy.wire.json_model import Document

_ABSENT = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    """What stands here may be of any type, which is the provider's to judge."""

    prompt_cache_key: msgspec.Raw = _ABSENT
    user: msgspec.Raw = _ABSENT
    metadata: msgspec.Raw = _ABSENT


class _Metadata(msgspec.Struct):
    user_id: msgspec.Raw = _ABSENT


_body = msgspec.json.Decoder(_Body).decode
_metadata = msgspec.json.Decoder(_Metadata).decode
_text = msgspec.json.Decoder(str).decode


def affinity_key(body: Document) -> str:
    """The body's `prompt_cache_key`, else `user` (both OpenAI's), else `metadata.user_id` (Anthropic's); "" if none.

    https://platform.openai.com/docs/guides/prompt-caching, https://platform.claude.com/docs/en/api/messages
    """
    try:
        read = _body(body)
    except msgspec.DecodeError:
        return ""
    return _text_in(read.prompt_cache_key) or _text_in(read.user) or _text_in(_user_id(read.metadata))


def _user_id(metadata: msgspec.Raw) -> msgspec.Raw:
    try:
        return _metadata(metadata).user_id
    except msgspec.ValidationError:
        return _ABSENT


def _text_in(value: msgspec.Raw) -> str:
    """The text that a JSON value is; "" if it is none."""
    try:
        return _text(value)
    except msgspec.DecodeError:  # among them half a surrogate pair
        return ""
