"""`status --watch`: how a running proxy is, drawn anew with each reading. What is old is shown as old."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from proxy.admin.changes.payloads import ProviderState
from proxy.admin.status import Status
from proxy.cli.admin_api import AdminApi
from proxy.cli.event_stream import Lost, follow
from proxy.cli.running import Running
from proxy.cli.terminal import Failure, print_json_line, print_line, print_note, printable
from proxy.cli.words import drain_in_words, figures, lasting, milliseconds, percent
from proxy.telemetry.live import EndpointLive, LiveReading, Reading, RouteReading

# Readings come each second; one that is missing is no news yet.
_STALE_S = 3.0
_REDRAW_S = 0.5
# Of routes and of endpoints: the busiest, so that both fit a screen.
_MOST_ROWS = 15


class Watched:
    """What is known of the proxy.

    Attributes:
        status, providers: as last asked for, which is with each event.
        readings: the latest.
        heard_at: when they came, by the monotonic clock.
        lost: why there is no connection; "" while there is one.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.status: Status | None = None
        self.providers: Sequence[ProviderState] = ()
        self.readings: LiveReading | None = None
        self.heard_at = time.monotonic()
        self.lost = ""

    @property
    def silent_s(self) -> float:
        """For how long there were no readings."""
        return time.monotonic() - self.heard_at

    @property
    def is_stale(self) -> bool:
        """Whether what is shown is old."""
        return bool(self.lost) or self.silent_s > _STALE_S


def watch(proxy: Running) -> None:
    """Watch until Ctrl-C: on a terminal as a picture, else as a line for each second; raises `Failure`."""
    watched, api = Watched(proxy.url), proxy.api
    try:
        if proxy.as_json or not sys.stdout.isatty():
            asyncio.run(_listen(api, watched, _print_json if proxy.as_json else _print_text))
            return
        console = Console()
        with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
            asyncio.run(_draw_all(api, watched, lambda: live.update(picture(watched), refresh=True)))
    except KeyboardInterrupt:
        return


async def _draw_all(api: AdminApi, watched: Watched, draw: Callable[[], None]) -> None:
    """Draw when something is new, and while nothing is, so that its age shows."""
    listening = asyncio.create_task(_listen(api, watched, lambda _: draw()))
    try:
        while not listening.done():
            draw()
            await asyncio.wait([listening], timeout=_REDRAW_S)
        await listening
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(api: AdminApi, watched: Watched, tell: Callable[[Watched], None]) -> None:
    """Learn of the proxy what it tells; `tell` is called for readings and lost connections."""
    async with aclosing(follow(api, "change,breaker,readings")) as stream:  # type: ignore[type-var] # it is a generator
        async for event in stream:
            if isinstance(event, Lost):
                watched.lost = event.reason
                tell(watched)
                continue
            watched.lost = ""
            await _ask(api, watched)
            if event.kind == "readings":
                watched.readings = msgspec.json.decode(event.data, type=LiveReading)
                watched.heard_at = time.monotonic()
                tell(watched)


async def _ask(api: AdminApi, watched: Watched) -> None:
    try:
        watched.status, providers = await asyncio.gather(
            asyncio.to_thread(api.status), asyncio.to_thread(api.providers)
        )
        watched.providers = providers.providers
    except Failure as failure:
        watched.lost = failure.message


def _print_json(watched: Watched) -> None:
    if watched.lost:
        print_json_line({"lost": watched.lost})
    else:
        print_json_line({"status": watched.status, "readings": watched.readings})


def _print_text(watched: Watched) -> None:
    if watched.lost:
        print_note(f"The connection is lost ({watched.lost}); trying again.")
    elif watched.status is not None and watched.readings is not None:
        now = time.strftime("%H:%M:%S")
        print_line(
            f"{now} revision {watched.status.revision}: {figures(watched.readings.total)}. {watched.status.words}."
        )


def picture(watched: Watched) -> RenderableType:
    """All of it, to be drawn."""
    status, readings = watched.status, watched.readings
    if status is None:
        return _text(f"Waiting for {watched.url} …")
    parts: list[RenderableType] = []
    if watched.is_stale:
        why = f" ({watched.lost})" if watched.lost else ""
        parts.append(_text(f"STALE: no news for {lasting(watched.silent_s)}{why}. What follows is old.", "bold red"))
    parts += (
        _text(f"Pointsman {status.version} at {watched.url}, revision {status.revision}", "bold"),
        _text(f"{status.words}."),
    )
    parts += (_text(f"{each.name}: {drain_in_words(each.drain)}", "yellow") for each in watched.providers if each.drain)
    if readings is None:
        return Group(*parts, _text("Waiting for the first readings …"))
    parts += (_text(figures(readings.total)), _routes(readings.routes), _endpoints(readings.endpoints))
    hidden = readings.left_out + sum(max(len(each) - _MOST_ROWS, 0) for each in (readings.routes, readings.endpoints))
    if hidden:
        parts.append(_text(f"and {hidden} more that are less busy"))
    if watched.is_stale:
        for part in parts[1:]:
            if isinstance(part, Text | Table):
                part.style = "dim"
    return Group(*parts)


def _routes(readings: Sequence[RouteReading]) -> Table:
    table = _table("route")
    for each in readings[:_MOST_ROWS]:
        table.add_row(_text(each.model), *_cells(each))
    return table


def _endpoints(readings: Sequence[EndpointLive]) -> Table:
    table = _table("endpoint", "breaker")
    for each in readings[:_MOST_ROWS]:
        style = "" if each.state == "closed" else "red"
        name = f"{each.provider}:{each.model_id}"
        table.add_row(_text(name, style), _text(each.state.replace("_", "-"), style), *_cells(each))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for column in ("requests/s", "errors", "p50", "p95", "in flight", "tokens/s"):
        table.add_column(column, justify="right")
    return table


def _cells(reading: Reading) -> list[Text]:
    return [
        _text(f"{reading.requests_per_s:.1f}"),
        _text(percent(reading.error_share), "red" if reading.error_share else ""),
        _text(milliseconds(reading.first_byte_p50_ms)),
        _text(milliseconds(reading.first_byte_p95_ms)),
        _text(str(reading.in_flight)),
        _text(f"{reading.tokens_per_s:.0f}"),
    ]


def _text(content: str, style: str = "") -> Text:
    # As `Text`, so that square brackets in a name are no markup.
    return Text(printable(content), style)
