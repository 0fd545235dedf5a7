"""How long `DynamicRoutingTable.resolve` takes among N dynamic routes: `python resolving.py N` prints nanoseconds.

Run with the checkout that is measured on PYTHONPATH. Printed are two medians: of ten names that come again and again,
and of names all over the table, where the processor's caches show as well.
"""

import asyncio
import random
import sys
import time
from statistics import median

from proxy.routing import ConfigRoutingTable, DynamicRoute, DynamicRoutingTable, RouteEndpoint

_BATCHES = 60
_BATCH = 5_000


async def _resolve_ns(table: DynamicRoutingTable, names: list[str]) -> float:
    """The median over the batches of the mean over a batch."""
    means = []
    for _ in range(_BATCHES):
        began_ns = time.perf_counter_ns()
        for name in names:
            await table.resolve(name)
        means.append((time.perf_counter_ns() - began_ns) / len(names))
    return median(means)


async def _measure(routes: int) -> None:
    table = DynamicRoutingTable(ConfigRoutingTable({"mock": {"base_url": "http://127.0.0.1:9/v1"}}, {}))
    names = [f"model-{number}" for number in range(routes)]
    for name in names:
        table.add_route(DynamicRoute(name, [RouteEndpoint("mock", "gpt-4o")]))
    choice = random.Random(1)
    few = choice.sample(names, min(10, routes))
    print(
        await _resolve_ns(table, choice.choices(few, k=_BATCH)),
        await _resolve_ns(table, choice.choices(names, k=_BATCH)),
    )


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1])))
