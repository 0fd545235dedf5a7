"""What Pointsman costs, beside a direct connection, nginx and the least that aiohttp allows; see docs/benchmarks.md."""
