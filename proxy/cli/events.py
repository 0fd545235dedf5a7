"""The command `events`: what happens at a running proxy, as it happens."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json_line, print_line, print_note
from proxy.cli.words import figures, request_in_words

if TYPE_CHECKING:
    from proxy.cli.event_stream import ServerEvent

_KINDS = ("change", "breaker", "alarm", "readings", "requests")


class _RouteTold(msgspec.Struct, frozen=True):
    model: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None


class _DrainTold(msgspec.Struct, frozen=True):
    provider: str
    drained: bool


class _ChangeTold(msgspec.Struct, frozen=True):
    at: datetime
    revision: int
    action: str
    actor: str
    reason: str
    touched: int
    routes: tuple[_RouteTold, ...]
    drains: tuple[_DrainTold, ...]


class _BreakerTold(msgspec.Struct, frozen=True):
    at: datetime
    provider: str
    model_id: str
    before: str
    after: str
    reason: str | None = None


class _AlarmTold(msgspec.Struct, frozen=True):
    at: datetime
    subject: str
    message: str


class _Greeting(msgspec.Struct, frozen=True):
    revision: int


@click.command()
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(_KINDS),
    multiple=True,
    default=_KINDS[:3],
    show_default=True,
    help="What to tell of; may be given several times.",
)
@proxy_options
def events(kinds: Sequence[str], proxy: Running) -> None:
    """Print what happens as it happens, until Ctrl-C. A lost connection goes on where it broke off.

    With --json, one object per line: {"event", "data"}.
    """
    import asyncio  # noqa: PLC0415

    try:
        asyncio.run(_print_all(proxy, ",".join(dict.fromkeys(kinds))))
    except KeyboardInterrupt:
        return


async def _print_all(proxy: Running, kinds: str) -> None:
    from proxy.cli.event_stream import Lost, follow  # noqa: PLC0415

    async with aclosing(follow(proxy.api, kinds)) as stream:  # type: ignore[type-var] # it is a generator
        async for event in stream:
            if isinstance(event, Lost):
                print_note(f"The connection is lost ({event.reason}); trying again.")
            elif proxy.as_json:
                print_json_line({"event": event.kind, "data": msgspec.json.decode(event.data)})
            else:
                for line in _in_words(event):
                    print_line(line)


def _in_words(event: "ServerEvent") -> Iterator[str]:
    from proxy.admin.api.live import RequestList  # noqa: PLC0415
    from proxy.telemetry.live import LiveReading  # noqa: PLC0415

    read, data = msgspec.json.decode, event.data
    match event.kind:
        case "hello":
            print_note(f"Listening (revision {read(data, type=_Greeting).revision}).")
        case "reset":
            print_note(f"Events were missed; revision {read(data, type=_Greeting).revision} is in force.")
        case "change":
            yield _change(read(data, type=_ChangeTold))
        case "breaker":
            breaker = read(data, type=_BreakerTold)
            why = f": {breaker.reason}" if breaker.reason else ""
            states = f"{breaker.before} → {breaker.after}".replace("_", "-")
            yield f"{_clock(breaker.at)} breaker of {breaker.provider}:{breaker.model_id} {states}{why}"
        case "alarm":
            alarm = read(data, type=_AlarmTold)
            yield f"{_clock(alarm.at)} alarm: {alarm.subject}: {alarm.message}"
        case "readings":
            yield f"{_clock(datetime.now().astimezone())} {figures(read(data, type=LiveReading).total)}"
        case "requests":
            yield from (request_in_words(each) for each in reversed(read(data, type=RequestList).requests))
        case _:  # of a newer proxy
            yield f"{event.kind} {data.decode(errors='replace')}"


def _change(told: _ChangeTold) -> str:
    edits = [f"{each.model}: {_places(each.before)} → {_places(each.after)}" for each in told.routes] + [
        f"{each.provider} {'drained' if each.drained else 'restored'}" for each in told.drains
    ]
    if (more := told.touched - len(edits)) > 0:
        edits.append(f"and {more} more")
    why = f" ({told.reason})" if told.reason else ""
    return f"{_clock(told.at)} revision {told.revision}, {told.action} by {told.actor}{why}: {'; '.join(edits)}"


def _places(places: Sequence[str] | None) -> str:
    return "no dynamic route" if places is None else ", ".join(places)


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
