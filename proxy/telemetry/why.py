"""Why a request went where it went, in words, told from its record."""

from collections.abc import Iterable, Sequence

from proxy.routing import RouteSource, RoutingTarget
from proxy.telemetry.outcome import Attempt, Outcome

# A client can make a model id up.
_NAME_CHARS = 200


def why_attempts(outcome: Outcome) -> list[str]:
    """Why each of a request's attempts was made, as the end of a sentence."""
    attempts = outcome.attempts
    return [_why_attempt(outcome, attempts[:number], attempt) for number, attempt in enumerate(attempts)]


def why(outcome: Outcome) -> str:
    """Why a request went where it went, in sentences."""
    if (resolution := outcome.resolution) is None:
        return "It was refused before it was routed." if outcome.error else "It ended before it was routed."
    match resolution.source:
        case RouteSource.DIRECT:
            said = ["The name itself says where to go."]
        case source:
            said = [f"By the {source} route, {resolution.strategy}, at revision {resolution.revision}."]
    if resolution.drained:
        said.append(f"Drained, and passed over: {_names(resolution.drained)}.")
    said += [
        f"{_name(attempt.target)}: {reason}."
        for attempt, reason in zip(outcome.attempts, why_attempts(outcome), strict=True)
    ]
    if outcome.served_by is not None:
        said.append(f"The client got the answer of {_name(outcome.served_by.target)}.")
    elif outcome.code is not None:
        said.append("The client got an error of ours.")
    return " ".join(said)


def _why_attempt(outcome: Outcome, earlier: Sequence[Attempt], attempt: Attempt) -> str:
    if not earlier:
        return _why_first(outcome, attempt)
    for other in earlier:
        if other.duration_s is None or other.started + other.duration_s > attempt.started:
            after_ms = (attempt.started - other.started) * 1000
            return f"asked as well (hedged), since {_name(other.target)} had not answered after {after_ms:.0f} ms"
    before = earlier[-1]
    if before.target == attempt.target:
        return f"asked again on a new connection, since it {before.reason}"
    return f"asked since {_name(before.target)} {before.reason} ({before.failure})"


def _why_first(outcome: Outcome, attempt: Attempt) -> str:
    if outcome.is_panic:
        return "the least bad, since all are out of service"
    targets: tuple[RoutingTarget, ...] = ()
    if (resolution := outcome.resolution) is not None:
        targets = (resolution.target, *resolution.fallbacks)
    if attempt.target in targets and (passed_over := targets[: targets.index(attempt.target)]):
        return f"first that could be asked, since {_names(passed_over)} could not (out of service, or not this way)"
    return "the route's choice" if len(targets) > 1 or (resolution and resolution.drained) else "the only one"


def _names(targets: Iterable[RoutingTarget]) -> str:
    return ", ".join(map(_name, targets))


def _name(target: RoutingTarget) -> str:
    return f"{target.provider_name}:{target.model_id:.{_NAME_CHARS}}"
