"""`python -m m3ter_async`: what the script ``m3ter-async`` does."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
