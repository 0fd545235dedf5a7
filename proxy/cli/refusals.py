"""What a proxy refuses, told on the command line."""

import msgspec

from proxy.admin.changes.payloads import StaleAnswer
from proxy.admin.payloads import ErrorAnswer
from proxy.cli.terminal import Failure
from proxy.cli.words import change_in_words, route_in_words, trial_in_words


class StaleError(Failure):
    """A change was meant for another revision than the one in force."""


class InUseError(Failure):
    """The same change is still under way."""


def refusal_of(status: int, answer: bytes, url: str, *, has_token: bool) -> Failure:
    """What an answer that refuses says.

    Args:
        status: its status.
        answer: its body.
        url: whose it is.
        has_token: whether a token was sent.
    """
    if status == 401:
        does = "refused the admin token" if has_token else "wants its admin token"
        return Failure(f"The proxy at {url} {does}: set $POINTSMAN_ADMIN_TOKEN.")
    try:
        if status == 412:
            return _stale(msgspec.json.decode(answer, type=StaleAnswer))
        refused = msgspec.json.decode(answer, type=ErrorAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Failure(f"There is no admin API at {url}: it answered with HTTP status {status}.")
    error = refused.error
    if status == 409 and "Idempotency-Key" in error.message:
        return InUseError(error.message)
    trials = () if refused.preflight is msgspec.UNSET else refused.preflight
    return Failure(error.message, *map(str, error.faults), *map(trial_in_words, trials))


def _stale(answer: StaleAnswer) -> Failure:
    more = []
    if (last := answer.last_change) is not None:
        more.append(f"Somebody was faster: {change_in_words(last)}.")
    if (route := answer.route) is not None:
        more.append(f"{route.model} goes to {route_in_words(route)} now.")
    more.append("Nothing was changed. Look again, and repeat the command if it is still wanted.")
    return StaleError(answer.error.message, *more)
