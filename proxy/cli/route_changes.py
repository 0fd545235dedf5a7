"""The commands that switch routes of a running proxy."""

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

import click
import msgspec

from proxy.cli.changing import Terms, change, change_options, is_somebody_there
from proxy.cli.options import numbers, packed, seconds
from proxy.cli.running import Running, proxy_options
from proxy.cli.terminal import Failure, print_note
from proxy.cli.words import route_in_words, trial_in_words

if TYPE_CHECKING:  # what imports the HTTP client is imported by the command that needs it
    from proxy.admin.changes.payloads import Changed, RouteSet
    from proxy.admin.payloads import EndpointBody, RouteBody

_STRATEGIES = "How to choose: priority, load_balance, weighted, least_latency or sticky."
_USUAL_STEP_S = 60.0


class Wish(msgspec.Struct, frozen=True):
    """What is wanted of a route beside its endpoints."""

    strategy: str
    weights: tuple[float, ...] | None
    for_s: float | None
    shift: tuple[float, ...] | None
    every_s: float | None
    preflight: bool
    require_preflight: bool


_route_options = packed(
    "wish",
    Wish,
    click.option("--strategy", default="priority", show_default=True, help=_STRATEGIES),
    click.option("--weights", type=numbers, metavar="N,N…", help="The endpoints' weights, in their order."),
    click.option(
        "--for", "for_s", type=seconds, metavar="TIME", help="How long, such as 2h; then it takes itself back."
    ),
    click.option(
        "--shift",
        type=numbers,
        metavar="N,N…",
        help="Percents of the requests to take over one after the other, such as 5,25,100; a guard takes the shift "
        "back if the new endpoints do worse.",
    ),
    click.option(
        "--every",
        "every_s",
        type=seconds,
        metavar="TIME",
        help="Time between the steps of --shift; 60s without it.",
    ),
    click.option("--preflight", is_flag=True, help="Ask each endpoint for a token first, and tell what came of it."),
    click.option("--require-preflight", is_flag=True, help="The same, and change nothing unless all are well."),
)


@click.command("swap")
@click.argument("model")
@click.argument("endpoints", metavar="PROVIDER:MODEL_ID...", nargs=-1, required=True)
@_route_options
@change_options
@proxy_options
def swap_route(model: str, endpoints: Sequence[str], wish: Wish, terms: Terms, proxy: Running) -> None:
    """Send MODEL, which has a route, to these endpoints, in this order, from the next request on.

    The new route takes the old one's place whole: options that aren't named here are as usual, not as they were. At a
    terminal you see before and after, and what speaks against it, before you confirm.
    """
    body = _route(model, endpoints, wish, terms)
    # A name that is spelt wrong would become a new route, and nothing would be swapped.
    if proxy.api.resolve(model).source == "direct":
        raise Failure(f"{model} has no route that could be swapped: `pointsman routes set` makes one.")
    _put_in_force(body, terms, proxy)


@click.command("set")
@click.argument("model")
@click.argument("endpoints", metavar="PROVIDER:MODEL_ID...", nargs=-1, required=True)
@_route_options
@change_options
@proxy_options
def set_route(model: str, endpoints: Sequence[str], wish: Wish, terms: Terms, proxy: Running) -> None:
    """The same as swap, also for a MODEL that has no route yet.

    Creates or replaces the dynamic route of MODEL; it shadows the config route of that name.
    """
    _put_in_force(_route(model, endpoints, wish, terms), terms, proxy)


@click.command("remove")
@click.argument("model")
@change_options
@proxy_options
def remove_route(model: str, terms: Terms, proxy: Running) -> None:
    """Remove the dynamic route of MODEL, so that its config route is back in force."""
    from proxy.cli import calls  # noqa: PLC0415

    call = calls.removing(model, terms.reason, cut_old=terms.cut_old)
    change(proxy, call, terms, lambda made: f"The dynamic route of {made.model} is removed (revision {made.revision}).")


@click.command("rollback")
@click.argument("model")
@change_options
@proxy_options
def rollback_route(model: str, terms: Terms, proxy: Running) -> None:
    """Undo the last change of MODEL's dynamic route. Twice is back again."""
    from proxy.admin.changes.payloads import ReasonBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    call = calls.undoing(model, ReasonBody(terms.reason, cut_old=terms.cut_old))
    change(proxy, call, terms, _routes_now)


@click.command("apply")
@click.argument("file", type=click.File("rb"))
@change_options
@proxy_options
def apply_routes(file: IO[bytes], terms: Terms, proxy: Running) -> None:
    """Set and remove several routes as one revision, or none of them: FILE (`-`: stdin) is YAML or JSON.

    It has what `POST /admin/routes:batch` takes: {"set": [routes], "remove": [models]}, where each route is as in
    `POST /admin/routes`, with all its options.
    """
    from proxy.admin.changes.payloads import BatchBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    try:
        batch = msgspec.yaml.decode(file.read(), type=BatchBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{file.name}: {' '.join(str(error).split())}", param_hint="FILE") from None
    body = msgspec.structs.replace(
        batch, reason=terms.reason or batch.reason, cut_old=terms.cut_old or batch.cut_old, dry_run=False
    )
    change(proxy, calls.together(body), terms, _routes_now)


def _put_in_force(body: "RouteBody", terms: Terms, proxy: Running) -> None:
    from proxy.admin.payloads import PreflightBody  # noqa: PLC0415
    from proxy.cli import calls  # noqa: PLC0415

    wanted = body.preflight or body.require_preflight
    if wanted and (terms.dry_run or (is_somebody_there() and not terms.yes)):
        # Known before somebody is asked; where it is required, it is done again with the change.
        tried = proxy.api.preflight(PreflightBody(body.endpoints))
        for trial in tried.endpoints:
            print_note(f"Preflight: {trial_in_words(trial)}")
        if body.require_preflight and not tried.ok:
            raise Failure("The preflight failed, so nothing was changed.")
        body = msgspec.structs.replace(body, preflight=False)
    look = msgspec.structs.replace(body, preflight=False, require_preflight=False)
    change(proxy, calls.setting(body), terms, _set, look=calls.setting(look))


def _set(made: "RouteSet") -> Iterator[str]:
    [diff] = made.routes
    for trial in () if made.preflight is msgspec.UNSET else made.preflight:
        print_note(f"Preflight: {trial_in_words(trial)}")
    yield f"{made.model} goes to {route_in_words(diff.after)} (revision {made.revision})."


def _routes_now(made: "Changed") -> Iterator[str]:
    for diff in made.routes:
        yield f"{diff.model} goes to {route_in_words(diff.after)}"
    yield f"Revision: {made.revision}"


def _route(model: str, endpoints: Sequence[str], wish: Wish, terms: Terms) -> "RouteBody":
    from proxy.admin.changes.shift_payloads import ShiftBody  # noqa: PLC0415
    from proxy.admin.payloads import RouteBody  # noqa: PLC0415

    if wish.weights and len(wish.weights) != len(endpoints):
        raise click.BadParameter(f"there are {len(endpoints)} endpoints.", param_hint="--weights")
    if wish.every_s is not None and wish.shift is None:
        raise click.BadParameter("there is no --shift.", param_hint="--every")
    weights = wish.weights or (1,) * len(endpoints)
    if not all(float(weight).is_integer() and 1 <= weight <= 1_000_000 for weight in weights):
        raise click.BadParameter("expected whole numbers from 1 on.", param_hint="--weights")
    return RouteBody(
        model,
        tuple(parse_endpoint(text, int(weight)) for text, weight in zip(endpoints, weights, strict=True)),
        wish.strategy,
        reason=terms.reason,
        expires_in_s=wish.for_s,
        shift=None
        if wish.shift is None
        else ShiftBody(wish.shift, _USUAL_STEP_S if wish.every_s is None else wish.every_s),
        cut_old=terms.cut_old,
        preflight=wish.preflight,
        require_preflight=wish.require_preflight,
    )


def parse_endpoint(text: str, weight: int = 1) -> "EndpointBody":
    """An endpoint as it stands on a command line."""
    from proxy.admin.payloads import EndpointBody  # noqa: PLC0415

    provider, _, model_id = text.partition(":")
    if not (provider and model_id):
        raise click.BadParameter(f"`{text}` is no PROVIDER:MODEL_ID, such as openai:gpt-4o.")
    return EndpointBody(provider, model_id, weight)
