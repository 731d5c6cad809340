"""`python -m benchmarks.workers CONTENDER BACKEND TASK PORT COUNT`: one contender does one task and prints JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

from .measure import Settings, measure
from .watch import peak_memory


def main() -> None:
    """Import the one contender asked for, so that no other's modules count in its memory."""
    started_with = peak_memory()
    contender, backend, task, port, count = sys.argv[1:]
    settings = Settings(backend, task, f"http://127.0.0.1:{port}", int(count))
    loop: Any = importlib.import_module("uvloop").new_event_loop if backend == "uvloop" else None
    module = importlib.import_module(f"benchmarks.workers.{contender}")
    with asyncio.Runner(loop_factory=loop) as runner:
        if hasattr(module, "run"):  # one that is put through something of its own
            result = runner.run(module.run(settings))
        else:
            kind = getattr(module, f"{backend.title()}Contender", module.Contender)
            result = runner.run(measure(kind(settings), settings))
    print(json.dumps({**result, "start_memory": started_with}))


if __name__ == "__main__":
    main()
