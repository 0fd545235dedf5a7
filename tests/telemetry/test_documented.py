"""Metrics are documented, and the dashboard asks for none that isn't there."""

import json
import re
from pathlib import Path

from proxy.app import Proxy
from tests.telemetry.conftest import ScrapeOf

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\b(?:pointsman|process)_[a-z_]+")


async def test_every_metric_is_documented(proxy: Proxy, scrape: ScrapeOf) -> None:
    """The reference lists each that a scrape gives, and no other."""
    reference = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    documented = {name for line in reference.splitlines() if line.startswith("| `p") for name in NAME.findall(line)}

    assert documented == (await scrape(proxy)).names


async def test_the_dashboard_shows_what_there_is(proxy: Proxy, scrape: ScrapeOf) -> None:
    """Every metric in its queries exists."""
    dashboard = json.loads((ROOT / "config/grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]

    used = {name.removesuffix("_bucket") for query in queries for name in NAME.findall(query)}

    assert len(queries) > 10
    assert used <= (await scrape(proxy)).names
