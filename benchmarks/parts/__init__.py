"""Everything that can be measured, a module each."""

from benchmarks.part import Part
from benchmarks.parts import (
    bodies,
    capacity,
    changes,
    first_byte,
    flame,
    memory,
    open_loop,
    paced,
    routes,
    start,
    swaps,
    throughput,
    tls,
)

PARTS: dict[str, Part] = {
    module.PART.name: module.PART
    for module in (
        throughput,
        open_loop,
        capacity,
        paced,
        first_byte,
        memory,
        bodies,
        tls,
        routes,
        changes,
        swaps,
        start,
        flame,
    )
}
"""By name, in the order in which they are measured and shown."""
