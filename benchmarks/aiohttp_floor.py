"""The floor under any proxy made of aiohttp's server and client: take a request, send it on, copy the answer back.

It routes nothing, checks nothing and records nothing: what a proxy costs beyond it is the proxy's own doing.
Run as `python -m benchmarks.aiohttp_floor PORT UPSTREAM_URL`.
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web


async def _serve(port: int, upstream: str) -> None:
    connector = TCPConnector(limit=0)
    async with ClientSession(
        upstream, connector=connector, cookie_jar=DummyCookieJar(), timeout=ClientTimeout(), auto_decompress=False
    ) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            headers = {"Authorization": "Bearer sk-upstream", "Content-Type": request.content_type}
            body = await request.read()
            async with session.request(request.method, request.raw_path, data=body, headers=headers) as answer:
                content_type = {"Content-Type": answer.headers["Content-Type"]}
                response = web.StreamResponse(status=answer.status, headers=content_type)
                response.content_length = answer.content_length
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2]))
