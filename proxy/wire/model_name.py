"""What may be a model's name, whoever gives it: a client, the config file or an operator."""

import re

from proxy.errors import InvalidRequestError

MAX_CHARACTERS = 512

# Control characters, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_model_name(name: str) -> None:
    """Raise `InvalidRequestError` unless `name` can be a model's name; any Unicode but control characters can."""
    if not name:
        raise InvalidRequestError("`model` is empty: name the model.", param="model")
    if len(name) > MAX_CHARACTERS:
        message = f"`model` is {len(name)} characters long: names have at most {MAX_CHARACTERS}."
        raise InvalidRequestError(message, param="model")
    if _CONTROL.search(name):
        raise InvalidRequestError("`model` holds control characters, which no name has.", param="model")
