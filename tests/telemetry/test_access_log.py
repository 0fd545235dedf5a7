"""The access log: one line per request, which nobody can forge and which tells no secret."""

import json
import logging

import aiohttp
import pytest
from yarl import URL

from proxy.config import AccessLog
from proxy.telemetry import Outcome, logging_to_stderr
from proxy.telemetry.access_log import write_line
from tests.conftest import MakeProxy, MakeStraw, provider_section, url

FORGED = 'no"} {"id": "forged\u2028\u202e'
SECRETS = ("client-secret", "key-of-straw", "the prompt", "query-secret")


async def lines_of(
    form: str,
    make_proxy: MakeProxy,
    make_straw: MakeStraw,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> list[str]:
    """The lines of a request that goes well, and of two with a forged line in path and model."""
    proxy = await make_proxy(
        server={"access_log": form},
        providers={"straw": provider_section(await make_straw())},
        models={"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
    )
    headers = {"Authorization": "Bearer client-secret"}
    with caplog.at_level(logging.INFO, "pointsman.access"):
        for path, model in (
            ("/v1/chat/completions?key=query-secret", "fast"),
            ("/v1/chat/completions", FORGED),
            ("/v1/%0Aforged", "fast"),
        ):
            body = {"model": model, "messages": [{"role": "user", "content": "the prompt"}]}
            async with http.post(URL(url(proxy, path), encoded=True), json=body, headers=headers) as answer:
                await answer.read()
    return [record.getMessage() for record in caplog.records if record.name == "pointsman.access"]


async def test_json(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Each line is an object that tells the request, each attempt, and what became of it."""
    lines = await lines_of("json", make_proxy, make_straw, http, caplog)

    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert not any(secret in line for line in lines for secret in SECRETS)
    good, unknown, _ = map(json.loads, lines)
    assert good["id"].startswith("req_")
    assert (good["client"], good["method"], good["path"]) == ("127.0.0.1", "POST", "/v1/chat/completions")
    assert (good["model"], good["source"], good["revision"]) == ("fast", "config", 0)
    assert (good["status"], good["ending"], good["error"], good["cause"]) == (200, "complete", None, None)
    assert good["bytes"] > 0
    assert good["input_tokens"] > 0
    assert good["output_tokens"] > 0
    (attempt,) = good["attempts"]
    assert (attempt["provider"], attempt["model_id"], attempt["status"]) == ("straw", "straw-small", 200)
    assert (attempt["failure"], attempt["reason"]) == (None, None)
    assert 0 < attempt["first_byte_ms"] <= attempt["ms"] <= good["total_ms"]
    assert (unknown["status"], unknown["cause"], unknown["attempts"]) == (404, "model_not_found", [])
    assert unknown["model"] == FORGED


async def test_text(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for people."""
    lines = await lines_of("text", make_proxy, make_straw, http, caplog)

    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert not any(secret in line for line in lines for secret in SECRETS)
    assert "POST /v1/chat/completions 200 model='fast' target='straw:straw-small' attempts=1" in lines[0]


async def test_off(
    make_proxy: MakeProxy, make_straw: MakeStraw, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """No line at all."""
    assert await lines_of("off", make_proxy, make_straw, http, caplog) == []


def test_a_json_line_is_all_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr nothing stands before the object, while other lines say when and by whom."""
    record = Outcome("127.0.0.1", "GET", "/v1/models")
    record.duration_s = 0.25
    with logging_to_stderr(logging.INFO):
        write_line(record, AccessLog.JSON)
        logging.getLogger("pointsman.server").warning("something else")

    access, other = capsys.readouterr().err.splitlines()
    assert json.loads(access)["total_ms"] == 250
    assert other.endswith("WARNING pointsman.server: something else")
