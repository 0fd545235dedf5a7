"""Where a run's report goes: markdown, its pictures, and the raw figures."""

from pathlib import Path

import msgspec

from benchmarks.report import Run, draw, render

RESULTS = Path(__file__).with_name("results")


def keep(run: Run, extra_pictures: Path, results: Path = RESULTS) -> tuple[Path, str]:
    """Write the report, its pictures and the raw figures; gives the report's path and text.

    Parts of the run may have left SVG files in `extra_pictures`.
    """
    results.mkdir(exist_ok=True)
    stamp = run.started.replace(":", "").partition("+")[0]
    pictures = draw(run) | {picture.name: picture.read_text() for picture in sorted(extra_pictures.glob("*.svg"))}
    files = {name: f"{stamp}-{name}" for name in pictures}
    for name, file in files.items():
        (results / file).write_text(pictures[name])
    report = render(run, files)
    path = results / f"{stamp}.md"
    path.write_text(report)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return path, report
