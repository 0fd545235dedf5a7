"""What tells that requests belong together, so that they can go to the same place and find its prompt cache warm."""

import msgspec

from proxy.wire.json_model import Document


class _Metadata(msgspec.Struct):
    user_id: object = None


class _Affine(msgspec.Struct):
    prompt_cache_key: object = None
    user: object = None
    metadata: _Metadata | None = None


_decode = msgspec.json.Decoder(_Affine).decode


def affinity_key(body: Document) -> str:
    """The body's `prompt_cache_key`, else `user` (both OpenAI's), else `metadata.user_id` (Anthropic's); "" if none.

    https://platform.openai.com/docs/guides/prompt-caching, https://platform.claude.com/docs/en/api/messages
    """
    try:
        read = _decode(body)
    except msgspec.MsgspecError:
        return ""
    user_id = read.metadata.user_id if read.metadata is not None else None
    return next((key for key in (read.prompt_cache_key, read.user, user_id) if isinstance(key, str) and key), "")
