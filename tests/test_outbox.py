"""What is written in one turn of the event loop goes out in order, at once where it is alone, and never too late."""

import asyncio

from proxy.outbox import JOINED_BYTES, MOST_WAITING, Outbox


class Recorder(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        super().__init__()
        self._log = log
        self._name = name
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._log.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self.closed


async def turn() -> None:
    """Let the event loop take its next turn."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_lone_write_goes_out_at_once() -> None:
    """One write in a turn waits for nothing, turn after turn."""
    log: list[tuple[str, bytes]] = []
    outbox, peer = Outbox(asyncio.get_running_loop()), Recorder(log, "a")
    for number in range(3):
        outbox.write(peer, b"%d" % number)
        assert log[-1] == ("a", b"%d" % number)
        await turn()


async def test_many_writes_go_out_together_and_in_order() -> None:
    """After a turn with several writes the next turn's wait for its end; for each peer the order stays."""
    log: list[tuple[str, bytes]] = []
    outbox = Outbox(asyncio.get_running_loop())
    a, b = Recorder(log, "a"), Recorder(log, "b")
    for peer in (a, b):
        outbox.write(peer, b"1")
    await turn()
    before = len(log)
    for data in (b"2", b"3"):
        for peer in (a, b):
            outbox.write(peer, data)
    waited = len(log) == before
    await turn()

    assert waited
    assert [data for name, data in log if name == "a"] == [b"1", b"2", b"3"]
    assert [data for name, data in log if name == "b"] == [b"1", b"2", b"3"]


async def test_a_lone_peer_waits_for_nothing_though_it_got_several_pieces_before() -> None:
    """The end of one streamed answer doesn't delay the beginning of the next."""
    log: list[tuple[str, bytes]] = []
    outbox, peer = Outbox(asyncio.get_running_loop()), Recorder(log, "a")
    for data in (b"event", b"end"):
        outbox.write(peer, data)
    await turn()
    outbox.write(peer, b"head")

    assert log[-1] == ("a", b"head")


async def test_what_waits_for_one_peer_becomes_one_write() -> None:
    """Small pieces in a row are joined; large ones, which a copy would cost more than a write, are not."""
    log: list[tuple[str, bytes]] = []
    outbox = Outbox(asyncio.get_running_loop())
    a, b = Recorder(log, "a"), Recorder(log, "b")
    large = b"x" * JOINED_BYTES
    for peer, data in ((b, b"1"), (a, b"1"), (a, b"2"), (a, large), (a, b"3"), (b, b"2"), (b, b"3"), (a, b"4")):
        outbox.write(peer, data)
    await turn()

    assert log == [("b", b"1"), ("a", b"12"), ("a", large), ("a", b"3"), ("b", b"23"), ("a", b"4")]


async def test_only_so_many_writes_wait_for_each_other() -> None:
    """In a turn with very many writes the first go out long before its end, and the order stays."""
    log: list[tuple[str, bytes]] = []
    outbox = Outbox(asyncio.get_running_loop())
    peers = [Recorder(log, str(number)) for number in range(2 * MOST_WAITING + 5)]
    for peer in peers[:2]:
        outbox.write(peer, b"x")
    await turn()
    gone = []
    for peer in peers[2:]:
        outbox.write(peer, b"x")
        gone.append(len(log) - 2)
    await turn()

    assert max(number - out for number, out in enumerate(gone, 1)) == MOST_WAITING - 1
    assert gone[-1] == 2 * MOST_WAITING
    assert [name for name, _ in log] == [str(number) for number in range(2 * MOST_WAITING + 5)]


async def test_flush_sends_what_waits_unless_its_peer_is_gone() -> None:
    """Before a transport is closed what waits goes out; what is for one that is closed already is dropped."""
    log: list[tuple[str, bytes]] = []
    outbox = Outbox(asyncio.get_running_loop())
    a, b = Recorder(log, "a"), Recorder(log, "b")
    for peer in (a, b, a, b):
        outbox.write(peer, b"x")
    b.closed = True
    outbox.flush()

    assert log.count(("a", b"x")) == 2
    assert log.count(("b", b"x")) == 0
