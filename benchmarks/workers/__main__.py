"""`python -m benchmarks.workers CONTENDER BACKEND TASK PORT COUNT`: one contender does one task and prints JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from .measure import Settings, measure, peak_memory


def main() -> None:
    """Import the one contender asked for, so that no other's modules count in its memory."""
    started_with = peak_memory()
    contender, backend, task, port, count = sys.argv[1:]
    settings = Settings(backend, task, f"http://127.0.0.1:{port}", int(count))
    module = importlib.import_module(f"benchmarks.workers.{contender}")
    kind = getattr(module, f"{backend.title()}Contender", module.Contender)
    result = asyncio.run(measure(kind(settings), settings))
    print(json.dumps({**result, "start_memory": started_with}))


if __name__ == "__main__":
    main()
