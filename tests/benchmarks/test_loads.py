"""The requests that are sent, and what wrk and our own load generator say of them."""

import math

import msgspec
import pytest

from benchmarks.chat import Door
from benchmarks.errors import BenchmarkError
from benchmarks.loadgen import Counts, Timed, percentile
from benchmarks.parts.open_loop import latencies, trouble_of
from benchmarks.search import largest_passing
from benchmarks.wrk import parse_wrk

WRK_OUTPUT = """\
Running 2s test @ http://127.0.0.1:9100/v1/chat/completions
  1 threads and 64 connections
RESULT {"requests":120,"duration_us":2000000,"p50_us":810,"p99_us":2000,\
"connect_errors":0,"read_errors":3,"write_errors":0,"status_errors":4,"timeouts":1}
"""


def counts(**changes: object) -> Counts:
    """What the load generator counts in a good run of a hundred requests."""
    good = Counts(answers=100, begun=100, events=0, errors=0, unanswered=0, first_error="")
    return msgspec.structs.replace(good, **changes)


def test_wrk_result_is_found_among_its_other_output() -> None:
    """The RESULT line gives the counts, and every kind of error counts as one."""
    result = parse_wrk(WRK_OUTPUT)

    assert (result.requests, result.p50_us, result.p99_us) == (120, 810, 2000)
    assert result.errors == 8
    assert result.requests_per_s == 60


def test_wrk_without_result_says_what_wrk_said() -> None:
    """A run that got nowhere is an error with wrk's own words in it."""
    with pytest.raises(BenchmarkError, match=r"unable to connect to 127\.0\.0\.1:1 Connection refused"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.9, 100), (100, 100)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    """Always a value that was measured, never one in between."""
    assert percentile(range(1, 101), percent) == expected


def test_percentile_of_a_thousand_does_not_suffer_from_binary_fractions() -> None:
    """99.9% of 1,000 is the 999th value, although 0.999 has no exact binary form."""
    assert percentile(range(1, 1001), 99.9) == 999


def test_percentile_of_nothing_is_not_a_number() -> None:
    """There is no time where nothing was answered."""
    assert math.isnan(percentile([], 50))


def test_latencies_are_in_milliseconds() -> None:
    """The load generator counts microseconds."""
    timed = Timed(counts(), range(1000, 101_000, 1000), secs=2.0)

    assert latencies(timed) == {"p50_ms": 50.0, "p99_ms": 99.0, "p999_ms": 100.0}
    assert timed.per_s == 50


def test_requests_that_were_never_answered_are_failures() -> None:
    """Who can't keep up with a fixed rate is not let off with the latencies of what it did answer."""
    timed = Timed(counts(errors=2, unanswered=8, first_error="answered with HTTP/1.1 502"), [1], secs=1.0)

    assert trouble_of(timed) == "10 of 110 failed or came too late answered with HTTP/1.1 502"
    assert not trouble_of(Timed(counts(), [1], secs=1.0))


@pytest.mark.parametrize("limit", [0, 15, 16, 100, 255, 256, 257, 1000, 5000, 8192, 100_000])
def test_search_ends_close_below_the_limit(limit: int) -> None:
    """It finds a number that passes, within the tolerance of the first that doesn't, in few steps."""
    asked: list[int] = []

    def passes(number: int) -> bool:
        asked.append(number)
        return number <= limit

    found = largest_passing(passes, first=256, ceiling=8192, tolerance=0.1)

    assert found <= limit
    assert found == 0 or found in asked
    assert found >= min(0.9 * limit - 1, 8192) or limit < 16
    assert max(asked) <= 8192
    assert len(asked) == len(set(asked)) < 12


def test_request_is_whole_on_the_wire() -> None:
    """The load generator sends these bytes as they are: the length has to be right."""
    request = Door(model="some-model", headers={"X-Team": "search"}).chat(stream=True)
    head, _, body = request.raw().partition(b"\r\n\r\n")

    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert b"X-Team: search" in head.split(b"\r\n")
    assert msgspec.json.decode(body)["model"] == "some-model"
    assert 1300 < len(body) < 2000


def test_large_request_is_as_large_as_asked() -> None:
    """Ten megabytes are ten megabytes, in one text."""
    body = Door().chat(extra_bytes=10_000_000).body

    assert body is not None
    assert pytest.approx(10_000_000, rel=1e-3) == len(body)


def test_streams_are_asked_for_at_the_beginning_of_the_body() -> None:
    """The mock upstream searches only the first part of a body."""
    body = Door().chat(stream=True, extra_bytes=1_000_000).body

    assert body is not None
    assert b'"stream":true' in body[:100]
