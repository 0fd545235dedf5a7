"""Finding the model in a JSON body and replacing it, without touching another byte."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidRequestError
from proxy.wire import find_model, splice_model

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
# Values full of what might be taken for the key: nested `model` keys, and strings that look like JSON.
DOCUMENTS = st.recursive(
    LEAVES | st.sampled_from(['"model"', '{"model": "x"}', '\\"model\\":', "model", "\\", '"']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just("model") | st.just('"model"'), inner, max_size=3)
    ),
    max_leaves=12,
)
SPACE = st.text(" \t\r\n", max_size=2)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, str, list[tuple[str, Any]]]:
    """An object with `model` at the top level, once or more, in any spelling; its bytes, the last name, its pairs."""
    pairs = [
        (key, value)
        for key, value in draw(st.lists(st.tuples(st.text(max_size=6), DOCUMENTS), max_size=5))
        if key != "model"
    ]
    name = draw(NAMES)
    pairs.insert(draw(st.integers(0, len(pairs))), ("model", name))
    if draw(st.booleans()):
        pairs.insert(0, ("model", draw(DOCUMENTS)))

    def spelled(text: str) -> str:
        if draw(st.booleans()):
            return json.dumps(text, ensure_ascii=draw(st.booleans()))
        return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else c for c in text) + '"'

    parts = []
    for key, value in pairs:
        written = spelled(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=draw(st.booleans()))
        parts.append(f"{draw(SPACE)}{spelled(key)}{draw(SPACE)}:{draw(SPACE)}{written}{draw(SPACE)}")
    return (draw(SPACE) + "{" + ",".join(parts) + "}" + draw(SPACE)).encode(), name, pairs


@given(bodies(), NAMES)
def test_only_the_values_of_the_top_level_model_change(
    body: tuple[bytes, str, list[tuple[str, Any]]], new: str
) -> None:
    """Any parser reads the new name, first or last of duplicates; every other byte is where it was."""
    raw, name, pairs = body
    found = find_model(raw)
    spliced = b"".join(splice_model(raw, found, new))

    assert found.name == name == json.loads(raw)["model"]
    expected = [(key, new if key == "model" else value) for key, value in pairs]
    assert pairs_of(spliced) == expected
    outside, position = [], 0
    for start, end in found.spans:
        outside.append(raw[position:start])
        position = end
    outside.append(raw[position:])
    assert msgspec.json.encode(new).join(outside) == spliced


def pairs_of(raw: bytes) -> list[tuple[str, Any]]:
    """The top-level pairs, duplicates too, with nested objects as dictionaries."""
    objects: list[list[tuple[str, Any]]] = []

    def hook(pairs: list[tuple[str, Any]]) -> Any:
        objects.append(pairs)
        return dict(pairs)

    json.loads(raw, object_pairs_hook=hook)
    return objects[-1]


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b'{"model":"a"}', b'{"model":"NEW"}'),
        (b' { "model" :\r\n\t"a" , "x" : 1.0 } ', b' { "model" :\r\n\t"NEW" , "x" : 1.0 } '),
        (b'{"x":{"model":"b"},"model":"a"}', b'{"x":{"model":"b"},"model":"NEW"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"NEW","model":"NEW"}'),
        (b'{"model":null,"model":"b"}', b'{"model":"NEW","model":"NEW"}'),
        (b'{"model":{"model":[1,"]"]},"model":"b"}', b'{"model":"NEW","model":"NEW"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"NEW"}'),
        (b'{"mod\\u0065l":"a","model":"b"}', b'{"mod\\u0065l":"NEW","model":"NEW"}'),
        (b'{"x":"\\"model\\":\\"y\\"","model":"a"}', b'{"x":"\\"model\\":\\"y\\"","model":"NEW"}'),
        (b'{"x":"say \\"model","model":"a"}', b'{"x":"say \\"model","model":"NEW"}'),
        (b'{"x":"cut emoji \\ud83d","model":"a"}', b'{"x":"cut emoji \\ud83d","model":"NEW"}'),
        (b'{"x":"\\uD83D","model":"\\ud83d\\ude00"}', b'{"x":"\\uD83D","model":"NEW"}'),
        ('{"x":"é","model":"modèle"}'.encode(), '{"x":"é","model":"NEW"}'.encode()),
    ],
)
def test_spellings(body: bytes, spliced: bytes) -> None:
    """White space, escapes, duplicates, nested keys and halves of surrogate pairs."""
    assert b"".join(splice_model(body, find_model(body), "NEW")) == spliced


def test_nothing_is_copied_where_nothing_changes() -> None:
    """A body that asks for the target's own id goes on as the same object."""
    body = b'{"model": "gpt-4o", "n": 1}'

    assert splice_model(body, find_model(body), "gpt-4o") == (body,)


def test_a_large_body_is_found_in() -> None:
    """The model behind 20 MB of text with multi-byte characters, and behind a million keys."""
    text = '{"x":"' + "é" * 10_000_000 + '","model":"a"}'
    keys = "{" + ",".join(f'"k{n}":{n}' for n in range(100_000)) + ',"mod\\u0065l":"a"}'

    assert find_model(text.encode()).name == "a"
    assert find_model(keys.encode()).name == "a"


@pytest.mark.parametrize("strings", [0, *range(40, 60), 5000])
def test_the_top_level_model_of_a_large_body_counts(strings: int) -> None:
    """However much stands between it and a nested one, and whichever of the two is nearer to the end."""
    texts = ",".join(['"t"'] * strings + [r'"\""'])  # an odd number of quotes
    nested = f'{{"pad":"{"A" * 1_100_000}","model":"nested"}}'
    for pattern in ('{{"model":{},"x":[{}],"y":{}}}', '{{"y":{2},"x":[{1}],"model":{0}}}'):
        body, expected = (pattern.format(f'"{name}"', texts, nested).encode() for name in ("a", "NEW"))
        assert b"".join(splice_model(body, find_model(body), "NEW")) == expected


@pytest.mark.parametrize("size", [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1])
def test_utf8_is_checked_across_windows(size: int) -> None:
    """A character that spans two windows is valid; a broken one at the same place isn't."""
    before = b'{"model":"a","x":"'
    padding = b"x" * (size - len(before) - 1)

    assert find_model(before + padding + "é".encode() + b'"}').name == "a"
    with pytest.raises(InvalidRequestError, match="UTF-8"):
        find_model(before + padding + b"\xc3(" + b'"}')
    with pytest.raises(InvalidRequestError, match="UTF-8"):
        find_model(before + padding + b'\xff"}')


@given(st.binary(max_size=60))
def test_any_bytes_give_a_name_or_a_clear_error(body: bytes) -> None:
    """Whatever comes, the answer is a name or an InvalidRequestError, never anything else."""
    with suppress(InvalidRequestError):
        assert find_model(body).name


@given(st.text('{}[]",:\\ \tmodelu0ad83\u00e9', max_size=40))
def test_any_near_json_gives_a_name_or_a_clear_error(text: str) -> None:
    """The same for text that is nearly JSON; what is accepted is what a parser reads."""
    for body in (text, '{"model":"m"' + text, '{"model":"m",' + text + "}"):
        try:
            found = find_model(body.encode())
        except InvalidRequestError:
            continue
        assert json.loads(body)["model"] == found.name
