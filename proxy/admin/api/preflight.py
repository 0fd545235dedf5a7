"""Trying endpoints out before a route leads there, as the API's calls do."""

from collections.abc import Iterable

from aiohttp import web

from proxy.admin.answers import answer
from proxy.admin.bodies import read_body
from proxy.admin.changes.drafts import check_model_id
from proxy.admin.keys import DESK, PREFLIGHT
from proxy.admin.payloads import EndpointBody, ErrorAnswer, ErrorDetail, PreflightBody, PreflightDone, decode
from proxy.errors import InvalidRequestError, Protocol
from proxy.routing import RoutingTarget
from proxy.upstream import Trial


async def preflight(request: web.Request) -> web.Response:
    """`POST /preflight`: try endpoints of configured providers out."""
    body = decode(await read_body(request, "application/json"), PreflightBody)
    trials = await try_out(request, body.endpoints, body.protocol, streaming=body.streaming)
    return answer(PreflightDone(all(trial.ok for trial in trials), trials))


async def try_out(
    request: web.Request,
    endpoints: Iterable[EndpointBody],
    protocol: Protocol | None = None,
    *,
    streaming: bool = False,
) -> tuple[Trial, ...]:
    """What came of asking each endpoint once; raises `InvalidRequestError` if one can't be a route's."""
    providers = request.app[DESK].providers
    targets = dict.fromkeys(RoutingTarget(endpoint.provider, endpoint.model_id) for endpoint in endpoints)
    for target in targets:
        if target.provider_name not in providers:
            message = f"There is no provider `{target.provider_name[:80]}`: only those of the config file can be asked."
            raise InvalidRequestError(message, param="endpoints")
        if not target.model_id:
            message = f"The endpoint at `{target.provider_name}` has no model_id: name the one to ask for."
            raise InvalidRequestError(message, param="endpoints")
        check_model_id(target.provider_name, target.model_id)
    return await request.app[PREFLIGHT].run(tuple(targets), protocol, streaming=streaming)


def refuse_for(trials: tuple[Trial, ...]) -> ErrorAnswer | None:
    """Why a route that asks for a preflight can't be set, if it can't."""
    failed = [trial for trial in trials if not trial.ok]
    if not failed:
        return None
    first = failed[0]
    message = (
        f"The preflight failed, so nothing has changed: {len(failed)} of {len(trials)} endpoints can't serve. "
        f"`{first.provider}:{first.model_id}`: {first.error} {first.advice}"
    )
    return ErrorAnswer(ErrorDetail(message), trials)
