"""`python -m shop FD`: the service on an inherited socket, its log on stderr."""

from __future__ import annotations

import logging
import sys

from serving import serve
from shop.app import create_app
from shop.settings import Settings

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
serve(create_app(Settings()), int(sys.argv[1]))
