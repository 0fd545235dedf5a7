"""Names to addresses: one look-up for everybody, kept while it is fresh, and longer while the name service is away."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.upstream.broken import BrokenError, Phase
from proxy.upstream.dial import Dialer
from proxy.upstream.resolve import Resolver
from tests.upstream.loopback import Listener, until, unused_port


def info(address: str, port: int = 80) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if ":" in address else (address, port))


class NameService:
    """Stands where the event loop asks the system.

    Attributes:
        infos: what it answers, or the error that it raises.
        calls: how often it was asked.
        open: cleared, it lets those who ask wait.
    """

    def __init__(self) -> None:
        self.infos: list[Any] | Exception = [info("192.0.2.1")]
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.calls += 1
        await self.open.wait()
        if isinstance(self.infos, Exception):
            raise self.infos
        return self.infos


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> NameService:
    names = NameService()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the event loop's clock jump ahead."""
    loop = asyncio.get_running_loop()
    now, passed = loop.time, 0.0

    def pass_time(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(loop, "time", lambda: now() + passed)
    return pass_time


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    resolver = Resolver("provider.example", 80)
    yield resolver
    resolver.close()


async def hosts(resolver: Resolver) -> list[str]:
    return [address[4][0] for address in await resolver.addresses()]


async def test_a_name_is_looked_up_once_a_minute(
    resolver: Resolver, names: NameService, pass_time: Callable[[float], None]
) -> None:
    """Then it is looked up again, and what is new counts."""
    assert await hosts(resolver) == await hosts(resolver) == ["192.0.2.1"]
    assert names.calls == 1
    names.infos = [info("192.0.2.2")]
    pass_time(61)
    assert await hosts(resolver) == ["192.0.2.2"]
    assert names.calls == 2


async def test_a_failed_look_up_is_not_kept(resolver: Resolver, names: NameService) -> None:
    """The next connection tries again at once; a name that can be none fails as well."""
    for error in (socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")):
        names.infos = error
        with pytest.raises(BrokenError, match=r"the name provider\.example could not be looked up") as broken:
            await resolver.addresses()
        assert broken.value.phase is Phase.CONNECT
    names.infos = [info("192.0.2.1")]
    assert await hosts(resolver) == ["192.0.2.1"]
    assert names.calls == 3


async def test_old_addresses_serve_while_the_name_service_fails(
    resolver: Resolver, names: NameService, pass_time: Callable[[float], None]
) -> None:
    """For an hour, with a look-up every half a minute; then they are too old."""
    await resolver.addresses()
    names.infos = socket.gaierror(socket.EAI_AGAIN, "try again")
    pass_time(61)
    assert await hosts(resolver) == await hosts(resolver) == ["192.0.2.1"]
    assert names.calls == 2
    pass_time(31)
    assert await hosts(resolver) == ["192.0.2.1"]
    assert names.calls == 3
    pass_time(3600)
    with pytest.raises(BrokenError):
        await resolver.addresses()


async def test_old_addresses_serve_while_the_name_service_is_silent(
    resolver: Resolver, names: NameService, pass_time: Callable[[float], None]
) -> None:
    """One connection waits for it a little, the following don't; its answer counts when it comes after all."""
    await resolver.addresses()
    names.open.clear()
    names.infos = [info("192.0.2.2")]
    pass_time(61)
    waiting = asyncio.create_task(hosts(resolver))
    await until(lambda: names.calls == 2)
    pass_time(2)
    assert await waiting == ["192.0.2.1"]
    async with asyncio.timeout(0.5):
        assert await hosts(resolver) == ["192.0.2.1"]
    names.open.set()
    await until(lambda: resolver._infos == names.infos)
    assert await hosts(resolver) == ["192.0.2.2"]
    assert names.calls == 2


async def test_one_look_up_for_all_who_ask(resolver: Resolver, names: NameService) -> None:
    """Those of them who leave take nothing away from the others."""
    names.open.clear()
    asking = [asyncio.create_task(hosts(resolver)) for _ in range(3)]
    await until(lambda: names.calls)
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    assert not any(task.done() for task in asking[1:])
    names.open.set()

    assert await asyncio.gather(*asking[1:]) == [["192.0.2.1"]] * 2
    assert asking[0].cancelled()
    assert names.calls == 1


async def test_closing_ends_the_look_up(resolver: Resolver, names: NameService) -> None:
    """Nothing is left running, and who waits for it is told."""
    names.open.clear()
    asking = asyncio.create_task(resolver.addresses())
    await until(lambda: names.calls)
    resolver.close()
    with pytest.raises(BrokenError):
        await asking

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_addresses_take_turns(resolver: Resolver, names: NameService) -> None:
    """Within their family: which of the families is preferred is the system's to say."""
    names.infos = [info("2001:db8::1"), info("192.0.2.1"), info("2001:db8::2"), info("192.0.2.2"), info("192.0.2.3")]

    assert [await hosts(resolver) for _ in range(3)] == [
        ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ["2001:db8::2", "2001:db8::1", "192.0.2.2", "192.0.2.3", "192.0.2.1"],
        ["2001:db8::1", "2001:db8::2", "192.0.2.3", "192.0.2.1", "192.0.2.2"],
    ]


async def test_an_address_that_refuses_is_passed_over(names: NameService) -> None:
    """The next one is tried at once, whichever has the first turn."""
    async with Listener() as server:
        names.infos = [info("127.0.0.1", unused_port()), info("127.0.0.1", server.port)]
        dialer = Dialer("provider.example", 80, None, None)
        for _ in range(4):
            (await dialer.open(5)).close()

    assert names.calls == 1


async def test_a_failed_connection_forces_a_look_up(names: NameService) -> None:
    """A host that moved is found again as soon as the name service knows, not when the minute is over."""
    async with Listener() as server:
        names.infos = [info("127.0.0.1", unused_port())]
        dialer = Dialer("provider.example", 80, None, None)
        with pytest.raises(BrokenError):
            await dialer.open(5)
        names.infos = [info("127.0.0.1", server.port)]
        (await dialer.open(5)).close()

    assert names.calls == 2
