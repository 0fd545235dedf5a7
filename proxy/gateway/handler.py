"""The data plane's way in: every request on its listener comes through `Gateway.handle`."""

from proxy.config import Current, Protocol
from proxy.errors import ProxyError
from proxy.gateway.application import Application
from proxy.gateway.forwarder import Forwarder
from proxy.gateway.request import Request
from proxy.gateway.response import Response
from proxy.gateway.targets import Attempts
from proxy.gateway.tunnel import Tunneller
from proxy.routing import DynamicRoutingTable
from proxy.telemetry import Ending, Telemetry


class Gateway:
    """Answers the requests that name a model, and leaves all others to the application.

    Args:
        table: where models lead.
        attempts: tries the targets that a model resolves to.
        current: the settings in force, of which the server's limits and its deadline header count here.
        application: answers what is not forwarded: health, discovery, and what is mounted beside them.
        telemetry: takes in what became of each request.
    """

    def __init__(
        self,
        table: DynamicRoutingTable,
        attempts: Attempts,
        current: Current,
        application: Application,
        telemetry: Telemetry,
    ) -> None:
        self._forwarder = Forwarder(table, attempts, current)
        self._tunneller = Tunneller(table, attempts)
        self._telemetry = telemetry
        self._application = application
        self._prefix = application.prefix
        self._below = f"{application.prefix}/"

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request; what fails foreseeably becomes an error in the client's own protocol."""
        is_post = request.method == "POST"
        if not (is_post or request.is_websocket) or self._is_for_application(request.path):
            await self._application.handle(request, response)
            return
        outcome = self._telemetry.begin(request.client, request.method, request.path, request.head)
        try:
            if is_post:
                await self._forwarder.forward(request, response, outcome)
            else:
                await self._tunneller.connect(request, response, outcome)
        except ProxyError as error:
            outcome.fail(error)
            response.error(error, guess_protocol(request), outcome.id)
            outcome.ending = Ending.COMPLETE
        finally:
            self._telemetry.record(outcome)

    def _is_for_application(self, path: str) -> bool:
        """Whether a request at this path is for the application whatever it is."""
        return bool(self._prefix) and (path.startswith(self._below) or path == self._prefix)


def guess_protocol(request: Request) -> Protocol:
    """The protocol in which to say that a request is wrong, told from what official clients send."""
    path = request.path
    if "/v1/messages" in path or b"anthropic-version" in request.head.values:
        return Protocol.ANTHROPIC
    if "/v1beta/" in path or ":" in path.partition("/models/")[2] or b"x-goog-api-key" in request.head.values:
        return Protocol.GEMINI
    return Protocol.OPENAI
