"""``python -m tests.export --worlds 1000``."""

import sys

from .run_worlds import main

if __name__ == "__main__":
    sys.exit(main())
