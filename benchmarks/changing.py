"""How long the admin API takes among N dynamic routes: `python changing.py N` prints milliseconds, a line per call.

Run with the checkout that is measured on PYTHONPATH. Each call goes over a socket to a proxy in the same process, so
its client's time counts as well; printed are the first, the median and the longest.
"""

import asyncio
import sys
import time
from statistics import median

import aiohttp

from proxy.app import Proxy
from proxy.config import settings_from
from proxy.routing import DynamicRoute, RouteEndpoint

_TIMES = 30
_SETTINGS = {
    "server": {"listen": "127.0.0.1:0", "shutdown_idle_s": 0},
    "providers": {name: {"base_url": "http://127.0.0.1:9/v1"} for name in ("one", "two")},
}


async def _measure(routes: int) -> None:
    async with Proxy(settings_from(_SETTINGS)) as proxy, aiohttp.ClientSession() as session:
        for number in range(routes):
            provider = "one" if number % 10 else "two"
            proxy.table.add_route(DynamicRoute(f"model-{number}", [RouteEndpoint(provider, "gpt-4o")]))
        # Each has had the provider's connections warmed up: let that be over.
        await asyncio.sleep(1)
        base = f"http://{proxy.admin_address}/admin"

        async def call(name: str, method: str, path: str, body: object = None) -> None:
            took_ms = []
            for number in range(_TIMES):
                began = time.perf_counter()
                async with session.request(method, base + path.format(number), json=body) as response:
                    answer = await response.read()
                took_ms.append((time.perf_counter() - began) * 1000)
                if response.status != 200:
                    message = f"{method} {path}: {response.status} {answer[:200]!r}"
                    raise RuntimeError(message)
            print(f"{name} {took_ms[0]:.2f} {median(took_ms):.2f} {max(took_ms):.2f}")

        swap = {"model": f"model-{routes // 2}", "endpoints": [{"provider": "two", "model_id": "gpt-4o"}]}
        await call("swap", "POST", "/routes", swap)
        await call("page", "GET", "/routes?limit=100")
        await call("search", "GET", "/routes?limit=100&q=77{}")
        await call("history", "GET", "/history")
        await call("drain_of_a_tenth", "POST", "/providers/two/drain")


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1])))
