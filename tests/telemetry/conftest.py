"""What the proxy tells of its traffic, read as an operator's tools read it."""

from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.app import Proxy
from tests.conftest import url

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What one scrape gave.

    Attributes:
        names: of all families, as the format spells them.
    """

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
        self.samples = [sample for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def values(self, label: str) -> set[str]:
        """All values of a label."""
        return {sample.labels[label] for sample in self.samples if label in sample.labels}


ScrapeOf = Callable[[Proxy], Awaitable[Scrape]]


@pytest.fixture
def scrape(http: aiohttp.ClientSession) -> ScrapeOf:
    """Scrape a proxy."""

    async def get(proxy: Proxy) -> Scrape:
        async with http.get(url(proxy, "/metrics")) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            return Scrape(await answer.text())

    return get
