"""What operators ask for, as a draft that the table understands. What is wrong with it is said here or by the table."""

from collections import Counter

from proxy.admin.changes.payloads import BatchBody
from proxy.admin.changes.shift_drafts import aborting, beginning
from proxy.admin.payloads import RouteBody
from proxy.config.document import header_name
from proxy.config.settings import FAILED_OVER, RouteOptions, RouteStrategy
from proxy.errors import Failure, InvalidRequestError, NotFoundError
from proxy.routing import Draft, DynamicRoute, DynamicRoutingTable, Expiry, RouteEndpoint, RouteSource
from proxy.wire.model_name import check_model_name

MOST_STACKED = 8
"""Temporary routes one on top of the other, each of which takes itself back to the one below."""


def setting(body: RouteBody, table: DynamicRoutingTable, now: float, actor: str) -> Draft:
    """A draft that sets a route; raises `InvalidRequestError` if that is no route."""
    return Draft.setting([_route(body, table, now, actor)])


def removing(model: str, table: DynamicRoutingTable) -> Draft:
    """A draft that removes a dynamic route; raises `NotFoundError` if there is none."""
    check_model_name(model)
    if table.dynamic_route(model) is None:
        below = table.describe(model)
        if below is not None and below.source is RouteSource.CONFIG:
            message = f"`{model}` has no dynamic route. Its config route can only be changed in the config file."
            raise NotFoundError(message)
        raise NotFoundError(f"`{model}` has no dynamic route, so there is nothing to remove.")
    return Draft.setting([], [model])


def batch(body: BatchBody, table: DynamicRoutingTable, now: float, actor: str) -> Draft:
    """A draft of several changes; raises what is wrong with the first that can't be."""
    models = [*(route.model for route in body.set), *body.remove]
    if not models:
        raise InvalidRequestError("The batch is empty: name routes to `set`, or models whose routes to `remove`.")
    ((twice, times),) = Counter(models).most_common(1)
    if times > 1:
        raise InvalidRequestError(f"`{twice[:80]}` comes twice in the batch: which of the two is meant?")
    for model in body.remove:
        removing(model, table)
    return Draft.setting([_route(each, table, now, actor) for each in body.set], body.remove)


def way_back(to_revision: int, table: DynamicRoutingTable) -> Draft:
    """A draft that puts in force what was once a revision was.

    Raises `InvalidRequestError` if there was no such revision, `ForgottenRevisionError` if it is too long ago.
    """
    if to_revision > table.revision:
        message = f"There was no revision {to_revision} yet: revision {table.revision} is in force."
        raise InvalidRequestError(message, param="to_revision")
    draft = table.history.way_back_to(to_revision)
    wanted = {model: route and route.standing() for model, route in draft.routes.items()}
    routes = {model: route for model, route in wanted.items() if route != table.dynamic_route(model)}
    drained = table.drains.by_provider
    drains = {name: drain for name, drain in draft.drains.items() if drain != drained.get(name)}
    return _possible(Draft(routes, drains), table)


def undoing(model: str, table: DynamicRoutingTable) -> Draft:
    """A draft that undoes the last change of a model's dynamic route, or all of a shift under way.

    Raises `ForgottenRevisionError`.
    """
    check_model_name(model)
    if (route := table.dynamic_route(model)) is not None and route.shift is not None:
        return aborting(model, table)
    before = table.history.before_last_change_of(model)
    return _possible(Draft({model: before and before.standing()}), table)


def _possible(draft: Draft, table: DynamicRoutingTable) -> Draft:
    for route in draft.routes.values():
        for provider in route.providers() if route is not None else ():
            if not table.accepts_provider(provider):
                message = (
                    f"There is no way back: the route of `{route.model if route else ''}` led to provider "
                    f"`{provider}`, which the config file doesn't name any more."
                )
                raise InvalidRequestError(message, param="to_revision")
    return draft


def _route(body: RouteBody, table: DynamicRoutingTable, now: float, actor: str) -> DynamicRoute:
    check_model_name(body.model)
    for endpoint in body.endpoints:
        check_model_id(endpoint.provider, endpoint.model_id)
    endpoints = [
        RouteEndpoint(endpoint.provider, endpoint.model_id, endpoint.weight, endpoint.max_input_tokens)
        for endpoint in body.endpoints
    ]
    strategy, options, expiry = _strategy(body.strategy), _options(body), _expiry(body, table, now)
    route = DynamicRoute(body.model, endpoints, strategy, options, expiry)
    return route if body.shift is None else beginning(route, body.shift, table, now, actor)


def _expiry(body: RouteBody, table: DynamicRoutingTable, now: float) -> Expiry | None:
    if body.expires_in_s is None:
        return None
    at = now + body.expires_in_s
    # What is itself over by then won't come back.
    expiry = Expiry(at, Expiry(at, table.dynamic_route(body.model)).following(at))
    depth, below = 1, expiry.then
    while below is not None and below.expiry is not None:
        depth, below = depth + 1, below.expiry.then
    if depth > MOST_STACKED:
        message = f"{MOST_STACKED} temporary routes of `{body.model}` wait below one another: set one that stays."
        raise InvalidRequestError(message, param="expires_in_s")
    return expiry


def _strategy(name: str) -> RouteStrategy:
    try:
        return RouteStrategy(name)
    except ValueError:
        message = f"Unknown strategy `{name[:80]}`: expected one of {', '.join(RouteStrategy)}."
        raise InvalidRequestError(message, param="strategy") from None


def _options(body: RouteBody) -> RouteOptions:
    for failure in body.failover_on:
        if failure not in FAILED_OVER:
            message = f"failover_on: expected some of {', '.join(FAILED_OVER)}, got `{failure[:80]}`."
            raise InvalidRequestError(message, param="failover_on")
    if body.sticky_header is not None:
        try:
            header_name(body.sticky_header)
        except ValueError as error:
            message = f"sticky_header: expected {error}, got `{body.sticky_header[:80]}`."
            raise InvalidRequestError(message, param="sticky_header") from error
    failover_on = tuple(map(Failure, body.failover_on))
    if body.shadow is not None:
        check_model_id(body.shadow.provider, body.shadow.model_id)
    return RouteOptions(failover_on, body.delivery, body.hedge_after, body.ping_s, body.sticky_header, body.shadow)


def check_model_id(provider: str, model_id: str) -> None:
    """A model id is a model's name at the provider's; an empty one is the table's to refuse.

    Raises `InvalidRequestError`.
    """
    try:
        if model_id:
            check_model_name(model_id)
    except InvalidRequestError as error:
        message = f"The model_id at `{provider[:80]}` can't be used: {error.message}"
        raise InvalidRequestError(message, param="endpoints") from error
