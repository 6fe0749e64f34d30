"""`python -m shop FD`: the service on an inherited socket, its log on stderr."""

from __future__ import annotations

import logging
import sys

from profkit.logs import install_request_context
from serving import serve
from shop.app import create_app
from shop.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s %(operation)s]: %(message)s"

logging.basicConfig(level=logging.INFO, format=FORMAT)
logging.getLogger("httpx2").setLevel(logging.WARNING)
install_request_context()
settings = Settings()  # type: ignore[call-arg]  # from the environment
serve(create_app(settings), int(sys.argv[1]))
