"""How each strategy chooses: a target for one request, and the order of the fallbacks behind it."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import count
from math import gcd, log
from random import Random
from threading import Lock

from proxy.config.settings import RouteStrategy
from proxy.routing.resolution import RoutingTarget
from proxy.routing.types import Affinity, Conditions

Targets = tuple[RoutingTarget, ...]
Choice = tuple[RoutingTarget, Targets]
Choose = Callable[[Affinity | None], Choice]
Strategy = Callable[[Targets, tuple[int, ...], Conditions, str | None], Choose]


def _priority(targets: Targets, _weights: tuple[int, ...], _conditions: Conditions, _header: str | None) -> Choose:
    """Always the order in which the endpoints stand; who is out of service is passed over when it is tried."""
    choice = targets[0], targets[1:]
    return lambda _: choice


def _load_balance(targets: Targets, _weights: tuple[int, ...], conditions: Conditions, _header: str | None) -> Choose:
    """Round robin from the first endpoint on; the ones that follow the chosen one are its fallbacks."""
    # `next` on a C iterator is one step for the interpreter: two threads never get the same turn.
    turns = count()
    size = len(targets)
    twice = targets + targets

    def choose(_: Affinity | None) -> Choice:
        turn = next(turns)
        if conditions.all_usable:
            position = turn % size
            return twice[position], twice[position + 1 : position + size]
        # The turns of who is out of service go round among the others, instead of all to its neighbour.
        usable = _usable(targets, conditions)
        return _from(usable[turn % len(usable)], targets)

    return choose


def _weighted(targets: Targets, weights: tuple[int, ...], conditions: Conditions, _header: str | None) -> Choose:
    """Smooth weighted round robin: each endpoint exactly its weight's share of a cycle, spread over it.

    https://github.com/nginx/nginx/commit/52327e0627f49dbda1e8db695e63a4b0af4448b1
    """
    divisor = gcd(*weights)
    shares = [weight // divisor for weight in weights]
    everyone = range(len(targets))
    credit = [0] * len(targets)
    # Several counters move in one choice.
    choosing = Lock()

    def choose(_: Affinity | None) -> Choice:
        usable: Sequence[int] = everyone
        if not conditions.all_usable:
            usable = _usable(targets, conditions)
        with choosing:
            for index in usable:
                credit[index] += shares[index]
            chosen = max(usable, key=credit.__getitem__)
            credit[chosen] -= sum(shares[index] for index in usable)
        return _from(chosen, targets)

    return choose


def _least_latency(targets: Targets, _weights: tuple[int, ...], conditions: Conditions, _header: str | None) -> Choose:
    """Of two endpoints taken by chance, the one that is expected to answer sooner.

    Choosing the best of all would send every request of a moment to the same place. (M. Mitzenmacher, "The Power of
    Two Choices in Randomized Load Balancing", 2001.)
    """
    chance = Random()  # noqa: S311 - no secret
    everyone = range(len(targets))

    def choose(_: Affinity | None) -> Choice:
        usable = everyone if conditions.all_usable else _usable(targets, conditions)
        two = chance.sample(usable, 2) if len(usable) > 1 else usable
        chosen = min(two, key=lambda index: conditions.load_s(targets[index]))
        target, others = _from(chosen, targets)
        return target, tuple(sorted(others, key=conditions.load_s))

    return choose


def _sticky(targets: Targets, weights: tuple[int, ...], conditions: Conditions, header: str | None) -> Choose:
    """The same endpoint for the same key, by rendezvous hashing: one that leaves moves its own keys alone.

    (D. G. Thaler and C. V. Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996.) Without a key, by turns.
    """
    by_turns = _load_balance(targets, weights, conditions, header)
    seeds = [f"{target.provider_name}\0{target.model_id}\0".encode("utf-8", "surrogatepass") for target in targets]

    def choose(affinity: Affinity | None) -> Choice:
        key = "" if affinity is None else affinity(header)
        if not key:
            return by_turns(affinity)
        text = key.encode("utf-8", "surrogatepass")
        scores = [_score(seed + text, weight) for seed, weight in zip(seeds, weights, strict=True)]
        order = sorted(range(len(targets)), key=scores.__getitem__, reverse=True)
        first, *rest = (targets[index] for index in order)
        return first, tuple(rest)

    return choose


def _score(data: bytes, weight: int) -> float:
    """A number that is highest as often as the weight says, among others of the same key.

    (J. Resch, "New Hashing Algorithms for Data Storage", 2015.)
    """
    fraction = (int.from_bytes(blake2b(data, digest_size=8).digest()) + 0.5) / 2**64
    return weight / -log(fraction)


def _usable(targets: Targets, conditions: Conditions) -> Sequence[int]:
    """The positions of those that may be asked; of all, if none may."""
    everyone = range(len(targets))
    return [position for position in everyone if conditions.is_usable(targets[position])] or everyone


def _from(position: int, targets: Targets) -> Choice:
    """The target at this position, and the others in their order from there on."""
    return targets[position], targets[position + 1 :] + targets[:position]


STRATEGIES: dict[RouteStrategy, Strategy] = {
    RouteStrategy.PRIORITY: _priority,
    RouteStrategy.LOAD_BALANCE: _load_balance,
    RouteStrategy.WEIGHTED: _weighted,
    RouteStrategy.LEAST_LATENCY: _least_latency,
    RouteStrategy.STICKY: _sticky,
}
