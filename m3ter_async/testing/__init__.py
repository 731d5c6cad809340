"""For the tests of those who use the client: no waiting, recordings of the wire, and routes for respx.

With pytest there are the fixtures ``m3ter_sandbox`` and ``m3ter_client`` besides, which need no import.
"""

from .exchanges import Exchange
from .recording import RecordingTransport, ReplayTransport
from .respx_routes import Routes
from .skipped_waits import no_waits

__all__ = ["Exchange", "RecordingTransport", "ReplayTransport", "Routes", "no_waits"]

for _public in __all__:
    globals()[_public].__module__ = __name__  # users import it from here, wherever it stands
