"""``python -m tests.simulation --seeds 1000``."""

import sys

from .run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
