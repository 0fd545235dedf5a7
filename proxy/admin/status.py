"""How the proxy is, in a few numbers and in words."""

import time

import msgspec

from proxy.admin.desk import Desk
from proxy.telemetry import Telemetry


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the proxy is.

    Attributes:
        store: where dynamic routes live.
        requests_per_s, error_share: of the requests that ended within the last `window_s` seconds: a minute, or less
            where there were too many to be kept, or the proxy has not run for so long.
        dynamic_routes: how many models have one.
        drained: the providers that are.
        words: what isn't as usual, in a sentence.
    """

    version: str
    revision: int
    uptime_s: float
    store: str = "memory"
    requests_per_s: float
    error_share: float | None
    window_s: float
    in_flight: int
    dynamic_routes: int
    drained: tuple[str, ...]
    out_of_service: tuple[str, ...]
    words: str


def status_of(desk: Desk, telemetry: Telemetry) -> Status:
    """How the proxy is now."""
    pace = telemetry.recent.pace()
    routes, drained, out = desk.dynamic_count, desk.drained, desk.out_of_service
    return Status(
        version=telemetry.version,
        revision=desk.revision,
        uptime_s=round(time.monotonic() - telemetry.started, 1),
        requests_per_s=pace.requests_per_s,
        error_share=pace.error_share,
        window_s=pace.window_s,
        in_flight=telemetry.in_flight,
        dynamic_routes=routes,
        drained=drained,
        out_of_service=out,
        words=_words(routes, len(drained), len(out)),
    )


def _words(routes: int, drained: int, out_of_service: int) -> str:
    said = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (routes, "route swapped", "routes swapped"),
            (drained, "provider drained", "providers drained"),
            (out_of_service, "endpoint out of service", "endpoints out of service"),
        )
        if count
    ]
    return ", ".join(said) or "No route is swapped, no provider drained, no endpoint out of service"
