"""The command `shadow`: a route and the candidate that gets its requests as well, side by side."""

import click

from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import print_json, print_line, print_table
from proxy.cli.words import milliseconds, percent


@click.command()
@click.argument("model")
@proxy_options
def shadow(model: str, proxy: Running) -> None:
    """Compare the route of MODEL with its shadow, which `routes apply` sets with `shadow`."""
    answer = proxy.api.shadow(model)
    if proxy.as_json:
        print_json(answer)
        return
    print_line(
        f"{answer.provider}:{answer.model_id} gets {percent(answer.share)} of the requests for {model} as well: "
        f"{answer.mirrored} mirrored, {answer.under_way} under way, {answer.dropped} dropped, "
        f"{answer.left_alone} left alone; its breaker is {answer.state.replace('_', '-')}."
    )
    print_table(
        ("side", "requests", "failed", "errors", "first byte p50", "p95", "causes"),
        [
            (
                name,
                str(side.requests),
                str(side.failed),
                percent(side.error_share),
                milliseconds(side.ttfb_p50_ms),
                milliseconds(side.ttfb_p95_ms),
                ", ".join(f"{cause}: {count}" for cause, count in side.causes.items()),
            )
            for name, side in (("route", answer.primary), ("shadow", answer.candidate))
        ],
    )
