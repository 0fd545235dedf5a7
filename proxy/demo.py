"""The demo: the real proxy in front of providers made of straw, usable at once and without a key."""

import asyncio
import sys
from contextlib import AsyncExitStack

from proxy.app import Proxy, event_loop, run_until_signal
from proxy.config import Settings, settings_from
from proxy.simulator import StrawProvider

_PROVIDERS = ("alpha", "beta", "gamma")


def demo(listen: str) -> int:
    """Run the demo in the foreground until a signal, printing what to paste; returns the exit status.

    Args:
        listen: `HOST:PORT` for the proxy; the providers take free ports of their own.
    """
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(_demo(listen))
    except OSError as error:
        print(f"pointsman: can't start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _demo(listen: str) -> None:
    async with AsyncExitStack() as stack:
        straw = straw_providers()
        for provider in straw:
            await stack.enter_async_context(provider)
        proxy = Proxy(demo_settings(listen, straw))
        print(_what_to_try(listen, straw), flush=True)  # noqa: T201
        await run_until_signal(proxy)


def straw_providers() -> list[StrawProvider]:
    """The providers, to be started."""
    return [StrawProvider(name, api_key=f"straw-key-{name}") for name in _PROVIDERS]


def demo_settings(listen: str, straw: list[StrawProvider]) -> Settings:
    """The proxy's settings in front of these providers, which must have started."""
    alpha, beta, gamma = _PROVIDERS
    return settings_from(
        {
            "server": {"listen": listen, "shutdown_grace_s": 2},
            "providers": {
                provider.name: {
                    "base_url": f"{provider.origin}/v1",
                    "protocols": {"openai": "", "anthropic": ""},
                    "api_key": f"straw-key-{provider.name}",
                }
                for provider in straw
            },
            "models": {
                "gpt-4o": {
                    "endpoints": [
                        {"provider": alpha, "model_id": "straw-large"},
                        {"provider": beta, "model_id": "straw-large"},
                    ]
                },
                "fast": {
                    "strategy": "load_balance",
                    "endpoints": [
                        {"provider": beta, "model_id": "straw-small"},
                        {"provider": gamma, "model_id": "straw-small"},
                    ],
                },
                "research": {"endpoints": [{"provider": gamma, "model_id": "straw-deep"}]},
            },
        },
        source="the demo",
    )


def _what_to_try(listen: str, straw: list[StrawProvider]) -> str:
    url = f"http://{listen}"
    faults = f"{straw[0].origin}/__straw/faults"
    return f"""\
Three simulated providers ({", ".join(_PROVIDERS)}) stand behind the proxy. Ctrl-C ends the demo.

Ask for a model; the answer says who gave it:
  curl {url}/v1/chat/completions \\
    -d '{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Where am I?"}}]}}'

The same from Python, streamed:
  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="anything")
  for chunk in client.chat.completions.create(model="gpt-4o", stream=True,
          messages=[{{"role": "user", "content": "Where am I?"}}]):
      if chunk.choices: print(chunk.choices[0].delta.content or "", end="", flush=True)

Now alpha falls ill. Its requests go to beta by themselves (curl -i shows x-pointsman-provider), and
you switch the points for good:
  curl -X PUT {faults} -d '{{"error_rate": 1.0}}'
  curl {url}/admin/routes \\
    -d '{{"model": "gpt-4o", "endpoints": [{{"provider": "beta", "model_id": "straw-large"}}]}}'

Or do it on the admin page: {url}/admin/
"""
