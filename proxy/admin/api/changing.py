"""The calls of the admin API that change something, and the history of what they changed."""

import re
from collections.abc import Callable

import msgspec
from aiohttp import hdrs, web

from proxy.admin.access.actor import actor_of
from proxy.admin.answers import answer
from proxy.admin.api.idempotency import changing
from proxy.admin.api.parameters import MOST_CHANGES, REVISION_PATTERN, USUAL_CHANGES
from proxy.admin.api.preflight import refuse_for, try_out
from proxy.admin.api.queries import flag, model_in_path, number
from proxy.admin.changes.desk import Asked
from proxy.admin.changes.payloads import BatchBody, DrainBody, ReasonBody, RollbackBody
from proxy.admin.changes.shift_drafts import aborting, pausing, resuming
from proxy.admin.keys import CHANGE_DESK, DESK, DRAIN_DESK
from proxy.admin.payloads import LONGEST_REASON, RouteBody, decode
from proxy.errors import InvalidRequestError
from proxy.routing import Action, Draft

_REVISION = re.compile(REVISION_PATTERN)


@changing
async def set_route(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes`: create or replace a dynamic route, whole."""
    route = decode(body, RouteBody)
    asked = asked_by(request, route.reason, dry_run=route.dry_run, cut_old=route.cut_old)
    changes = request.app[CHANGE_DESK]
    if not (route.preflight or route.require_preflight):
        return answer(await changes.set_route(route, asked))
    trials = await try_out(request, route.endpoints)
    if route.require_preflight and (refusal := refuse_for(trials)):
        return answer(refusal, status=422)
    return answer(msgspec.structs.replace(await changes.set_route(route, asked), preflight=trials))


@changing
async def remove_route(request: web.Request, _body: bytes) -> web.Response:
    """`DELETE /routes/{model}`: remove a dynamic route; `?reason=` says why."""
    asked = asked_by(request, request.query.get("reason", ""))
    return answer(await request.app[CHANGE_DESK].remove_route(model_in_path(request), asked))


@changing
async def batch(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes:batch`: set and remove several routes as one revision, or none of them."""
    changes = decode(body, BatchBody)
    asked = asked_by(request, changes.reason, dry_run=changes.dry_run, cut_old=changes.cut_old)
    return answer(await request.app[CHANGE_DESK].batch(changes, asked))


@changing
async def rollback(request: web.Request, body: bytes) -> web.Response:
    """`POST /rollback`: put routes and drains in force as they were once a revision was."""
    wanted = decode(body, RollbackBody)
    asked = asked_by(request, wanted.reason, dry_run=wanted.dry_run, cut_old=wanted.cut_old)
    return answer(await request.app[CHANGE_DESK].rollback(wanted.to_revision, asked))


@changing
async def rollback_route(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes/{model}/rollback`: undo the last change of a model's dynamic route."""
    asked = _asked_with(request, body)
    return answer(await request.app[CHANGE_DESK].rollback_route(model_in_path(request), asked))


@changing
async def pause_shift(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes/{model}/shift/pause`: let a shift stay at its step."""
    model, changes = model_in_path(request), request.app[CHANGE_DESK]
    return await _shift(request, body, lambda: pausing(model, changes.table))


@changing
async def resume_shift(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes/{model}/shift/resume`: let it go on."""
    model, changes = model_in_path(request), request.app[CHANGE_DESK]
    return await _shift(request, body, lambda: resuming(model, changes.table, changes.clock()))


@changing
async def abort_shift(request: web.Request, body: bytes) -> web.Response:
    """`POST /routes/{model}/shift/abort`: put the route in force which there was before it."""
    model, changes = model_in_path(request), request.app[CHANGE_DESK]
    return await _shift(request, body, lambda: aborting(model, changes.table))


async def _shift(request: web.Request, body: bytes, draft: Callable[[], Draft]) -> web.Response:
    return answer(await request.app[CHANGE_DESK].make(draft, Action.SHIFT, _asked_with(request, body)))


@changing
async def drain(request: web.Request, body: bytes) -> web.Response:
    """`POST /providers/{name}/drain`: have every route avoid a provider."""
    wanted = decode(body or b"{}", DrainBody)
    asked = asked_by(request, wanted.reason, dry_run=wanted.dry_run, cut_old=wanted.cut_old)
    return answer(await request.app[DRAIN_DESK].drain(request.match_info["name"], wanted, asked))


@changing
async def restore(request: web.Request, body: bytes) -> web.Response:
    """`POST /providers/{name}/restore`: put a provider back in service."""
    asked = _asked_with(request, body)
    return answer(await request.app[DRAIN_DESK].restore(request.match_info["name"], asked))


async def list_providers(request: web.Request) -> web.Response:
    """`GET /providers`: the configured providers, with drains and breakers."""
    providers = request.app[DESK].providers_in_service()
    response = answer(providers)
    response.headers[hdrs.ETAG] = f'"{providers.revision}"'
    return response


async def history(request: web.Request) -> web.Response:
    """`GET /history?model=&before=&limit=`: changes, newest first."""
    limit = number(request, "limit", USUAL_CHANGES, MOST_CHANGES)
    before = number(request, "before", None)
    return answer(request.app[DESK].history(limit, before, request.query.get("model")))


def asked_by(request: web.Request, reason: str, *, dry_run: bool = False, cut_old: bool = False) -> Asked:
    """How a request asks for its change: by its actor, for the revision that it names, perhaps only to be told."""
    if len(reason) > LONGEST_REASON:
        raise InvalidRequestError(f"The reason is longer than {LONGEST_REASON} characters.", param="reason")
    # It will stand in logs and on pages: one line of what can be read.
    line = " ".join("".join(each if each.isprintable() else " " for each in reason).split())
    dry_run, cut_old = dry_run or flag(request, "dry_run"), cut_old or flag(request, "cut_old")
    return Asked(actor_of(request), line, _expected(request), dry_run, cut_old)


def _asked_with(request: web.Request, body: bytes) -> Asked:
    said = decode(body or b"{}", ReasonBody)
    return asked_by(request, said.reason, dry_run=said.dry_run, cut_old=said.cut_old)


def _expected(request: web.Request) -> int | None:
    """The revision in `If-Match`; None if any will do."""
    value = request.headers.get(hdrs.IF_MATCH, "*").strip()
    if value == "*":
        return None
    if (revision := _REVISION.fullmatch(value)) is None:
        raise InvalidRequestError('If-Match: expected a revision, such as "12".')
    return int(revision[1])
