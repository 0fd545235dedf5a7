"""The program as an operator runs it: started, watched and stopped from outside."""

import asyncio
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import pytest
import yaml

from proxy.simulator import StrawProvider
from tests.conftest import provider_section
from tests.gateway.scripted_provider import EVENTS, HEAD, Connection, ScriptedProvider

Start = Callable[..., Awaitable[tuple[Process, str]]]
ASK = {"model": "up:m", "messages": [], "stream": True}
MIB = 1024 * 1024


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start `pointsman serve` with a config and wait for its line; gives the process and its origin."""
    async with AsyncExitStack() as stack:

        async def run(**sections: object) -> tuple[Process, str]:
            config = tmp_path / "proxy.yaml"
            config.write_text(yaml.safe_dump(sections))
            process = await stack.enter_async_context(
                program("serve", "--config", str(config), "--listen", "127.0.0.1:0")
            )
            assert process.stdout is not None
            async with asyncio.timeout(20):
                line = (await process.stdout.readline()).decode()
            match = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert match, line
            return process, match[0]

        yield run


@asynccontextmanager
async def program(*arguments: str, **environ: str) -> AsyncIterator[Process]:
    """`pointsman` as a process of its own, ended with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *arguments, stdout=PIPE, stderr=PIPE, env={"PATH": "/usr/bin:/bin", **environ}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_stop_waits_for_streams(start: Start, http: aiohttp.ClientSession) -> None:
    """After SIGTERM a stream under way ends whole, nobody new gets in, and the exit status is 0."""
    go_on = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(b"data: 1\n\n")
        await go_on.wait()
        await connection.send_chunk(b"data: 2\n\n")
        await connection.send_chunk(b"")

    async with ScriptedProvider(script) as provider:
        process, origin = await start(providers={"up": provider.section})
        async with http.get(f"{origin}/readyz") as ready:
            assert ready.status == 200
        async with http.post(f"{origin}/v1/chat/completions", json=ASK) as response:
            first = await response.content.readany()
            process.send_signal(signal.SIGTERM)
            await refused(origin)
            go_on.set()
            rest = await response.content.read()
        async with asyncio.timeout(10):
            status = await process.wait()

    assert (first, rest, status) == (b"data: 1\n\n", b"data: 2\n\n", 0)


async def refused(origin: str) -> None:
    """Wait until nobody listens any more."""
    host, _, port = origin.removeprefix("http://").partition(":")
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionError:
                return
            writer.close()
            await writer.wait_closed()


async def test_a_second_signal_ends_the_grace_period(start: Start, http: aiohttp.ClientSession) -> None:
    """A second SIGTERM ends what is still running; the exit status is 0 all the same."""

    async def script(connection: Connection) -> None:
        await connection.send(EVENTS)
        await connection.send_chunk(b"data: 1\n\n")
        await connection.closed()

    async with ScriptedProvider(script) as provider:
        process, origin = await start(providers={"up": provider.section})
        async with http.post(f"{origin}/v1/chat/completions", json=ASK) as response:
            await response.content.readany()
            process.send_signal(signal.SIGTERM)
            await refused(origin)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_memory_stays_flat_behind_a_slow_reader(start: Start) -> None:
    """300 MB through a reader of 30 MB/s: the process grows by less than 20 MB."""
    total = 300 * 1000 * 1000

    async def script(connection: Connection) -> None:
        await connection.send(HEAD % b"application/octet-stream")
        piece = b"x" * 1_000_000
        for _ in range(total // len(piece)):
            await connection.send_chunk(piece)
        await connection.send_chunk(b"")

    async with ScriptedProvider(script) as provider:
        process, origin = await start(providers={"up": provider.section})
        before = resident_bytes(process)
        peak, received = before, 0
        async for size in read_slowly(origin, bytes_per_s=30_000_000):
            received += size
            peak = max(peak, resident_bytes(process))

    assert received >= total
    assert peak - before < 20 * MIB


def resident_bytes(process: Process) -> int:
    """The memory that the process holds just now."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096


async def read_slowly(origin: str, bytes_per_s: int) -> AsyncIterator[int]:
    """Ask for an answer and take it at this pace; gives the size of each piece, to the end of the answer."""
    host, _, port = origin.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=256 * 1024)
    body = json.dumps(ASK).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    loop = asyncio.get_running_loop()
    begun, received = loop.time(), 0
    while piece := await reader.read(1_000_000):
        received += len(piece)
        yield len(piece)
        # The pace is the point here: this is a slow reader.
        await asyncio.sleep(max(0.0, begun + received / bytes_per_s - loop.time()))
    writer.close()
    await writer.wait_closed()


async def test_exit_status_and_one_line_for_what_cannot_start(tmp_path: Path) -> None:
    """A port that is taken is 1; an admin plane open to the network is 2. One line each, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        for listen, status, word in ((busy, 1, "in use"), ("0.0.0.0:0", 2, "token")):
            config = tmp_path / "proxy.yaml"
            config.write_text("providers: {}")
            async with program("serve", "--config", str(config), "--listen", listen) as process:
                _, errors = await asyncio.wait_for(process.communicate(), 20)
            assert process.returncode == status
            assert word in errors.decode()
            assert len(errors.decode().strip().splitlines()) == 1


async def test_admin_plane_on_a_listener_of_its_own(
    start: Start, http: aiohttp.ClientSession, straw: StrawProvider
) -> None:
    """With `admin.listen` the data plane's listener has no admin plane, and the other has only that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    _, origin = await start(providers={"up": provider_section(straw)}, admin={"listen": admin})
    swap = {"model": "fast", "endpoints": [{"provider": "up", "model_id": "m"}]}
    async with http.post(f"{origin}/admin/routes", json=swap) as here:
        assert here.status == 404
    async with http.post(f"http://{admin}/admin/routes", json=swap) as there:
        assert there.status == 200
    async with http.post(f"http://{admin}/v1/chat/completions", json=ASK) as data:
        assert data.status == 404
    async with http.post(f"{origin}/v1/chat/completions", json={**ASK, "model": "fast"}) as answer:
        assert answer.headers["x-pointsman-revision"] == "1"


async def test_zero_config(tmp_path: Path) -> None:
    """Without a config file every known provider whose key is in the environment is there; no key is printed."""
    async with program("serve", "--listen", "127.0.0.1:0", HOME=str(tmp_path), GROQ_API_KEY="gsk-canary") as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

    assert "canary" not in line + errors.decode()
    assert process.returncode == 0


FORM_END = b"\r\n--XX--\r\n"
MODEL_FIELD = b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nup:whisper\r\n'
FILE_FIELD = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.mark.parametrize("order", ["model first", "file first"])
async def test_memory_stays_flat_in_an_upload(order: str, start: Start) -> None:
    """A form with a file of 60 MB goes through, its model before or behind the file; the process grows by < 20 MB."""
    size = 60_000_000
    head, tail = (
        (MODEL_FIELD + FILE_FIELD, FORM_END)
        if order == "model first"
        else (FILE_FIELD, b"\r\n" + MODEL_FIELD + FORM_END[2:])
    )
    async with UploadSink() as sink:
        process, origin = await start(providers={"up": {"base_url": sink.origin}})
        before = peak = resident_bytes(process)
        host, _, port = origin.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        length = len(head) + size + len(tail)
        writer.write(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: %d\r\n\r\n" % length
        )
        writer.write(head)
        if order == "model first":
            # The provider gets the beginning of the form while its end is still to come.
            async with asyncio.timeout(10):
                await sink.begun.wait()
        for _ in range(60):
            writer.write(b"x" * (size // 60))
            await writer.drain()
            peak = max(peak, resident_bytes(process))
        writer.write(tail)
        answer = await asyncio.wait_for(reader.read(), 20)
        peak = max(peak, resident_bytes(process))
        writer.close()
        await writer.wait_closed()

    assert b"200 OK" in answer
    assert sink.announced == sink.received == length - len("up:whisper") + len("whisper")
    assert peak - before < 20 * MIB


class UploadSink:
    """A provider that counts what it is sent; an async context manager."""

    def __init__(self) -> None:
        self.announced = self.received = 0
        self.begun = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        self.announced = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while self.received < self.announced and (piece := await reader.read(65536)):
            self.begun.set()
            self.received += len(piece)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()


@pytest.mark.parametrize("by", ["SIGHUP", "watch", "command"])
async def test_a_reload_from_outside(by: str, start: Start, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """SIGHUP, a look at the file, and `pointsman reload` all put the new file in force; a bad one only gets logged."""
    watch = {"watch_config_s": 0.05} if by == "watch" else {}
    here = {"up": {"base_url": "http://127.0.0.1:9/v1"}}
    process, origin = await start(providers=here, server=watch)

    async def edit(text: str) -> tuple[int | None, str]:
        """Write the file and have it reloaded; gives the command's status and errors, if it was by command."""
        (tmp_path / "proxy.yaml.new").write_text(text)
        (tmp_path / "proxy.yaml.new").rename(tmp_path / "proxy.yaml")
        if by == "SIGHUP":
            process.send_signal(signal.SIGHUP)
        if by != "command":
            return None, ""
        async with program("reload", "--url", origin) as command:
            _, errors = await command.communicate()
            return command.returncode, errors.decode()

    status, errors = await edit("server: {watch_config_s: soon}\nmodels: {m: {endpoints: [{provider: no}]}}")
    if by == "command":
        assert status == 1
        assert [f"proxy.yaml:{line}" in errors for line in (1, 2)] == [True, True]
    else:
        assert process.stderr is not None
        lines: list[str] = []
        async with asyncio.timeout(10):
            while sum("proxy.yaml:" in line for line in lines) < 3:
                lines.append((await process.stderr.readline()).decode())
        assert "nothing has changed" in "".join(lines)
    async with http.get(f"{origin}/admin/routes") as response:
        assert await response.json() == {"revision": 0, "routes": []}

    models = {"fast": {"endpoints": [{"provider": "up", "model_id": "m"}]}}
    status, errors = await edit(yaml.safe_dump({"providers": here, "models": models}))
    assert (status, errors) == (0 if by == "command" else None, "")
    async with asyncio.timeout(10):
        while True:
            async with http.get(f"{origin}/admin/routes") as response:
                if (await response.json())["revision"] == 1:
                    break
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
