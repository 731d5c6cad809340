"""Bills of a span of days as files, for a scheduler to run: python examples/export_job.py 2025-01-01 2025-02-01 out.

Started again after it was stopped, it goes on where it was. It exits with 0 only when nothing was set aside.
"""

import sys
from pathlib import Path

import anyio

from m3ter_async import AsyncM3ter, M3terError
from m3ter_async.export import export


async def main(since: str, until: str, out: Path, begun: bool) -> int:
    try:
        async with AsyncM3ter() as m3ter:
            report = await export(m3ter, ["bills"], out, since=since, until=until, resume=begun)
    except M3terError as error:
        print(f"not finished: {error}", file=sys.stderr)
        return 1
    print(f"{report.records['bills']} bills in {len(report.files)} files, {report.seconds:.0f} s")
    for note in report.notes:
        print(note.text)
    return 0 if report.complete else 3


if __name__ == "__main__":
    since, until, out = sys.argv[1:]
    begun = Path(out, "manifest.jsonl").exists()
    sys.exit(anyio.run(main, since, until, Path(out), begun))
