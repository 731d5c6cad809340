"""Where m3ter's OpenAPI document is: it is published by m3ter, and no part of this repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "M3TER_OPENAPI"
"""The environment variable that names the document; without it, the document is looked for beside the repository."""

DOCUMENT: Final = Path(
    os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / "shared" / "contract" / "openapi.json"
)
MISSING: Final = f"there is no OpenAPI document of m3ter at {DOCUMENT}: CONTRIBUTING.md says where to get it"
