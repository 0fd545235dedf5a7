"""`python -m tests.faults`: let every fault happen, and write what came of it into docs/failures.md."""

import asyncio

from proxy.errors import Protocol
from tests.faults.document import DOCUMENT, render, replaced
from tests.faults.observe import observe
from tests.faults.table import MATRIX


async def main() -> None:
    """Observe, and write."""
    seen = {
        title: {fault.name: await observe(fault, Protocol.OPENAI) for fault in faults}
        for title, faults in MATRIX.items()
    }
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), render(seen)))


if __name__ == "__main__":
    asyncio.run(main())
