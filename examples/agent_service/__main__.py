"""The demo: a service under load, its slow operations captured, stored, looked at and ranked.

.venv/bin/python examples/agent_service [--short] [--without PLANT] [--store DIR] [--keep-running]
"""

from __future__ import annotations

import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from demo.load import run_load
from demo.options import Options, parse_options
from demo.processes import ServerFailed, ServerProcess
from demo.report import show_requests
from shop.database import create_database


def main() -> int:
    """Run the demo; returns the exit code."""
    options = parse_options()
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="profkit-demo-") as folder:
            run(options, Path(folder), console)
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except ServerFailed as error:
        console.print(str(error), style="red", markup=False)
        return 1
    return 0


def run(options: Options, folder: Path, console: Console) -> None:
    start = time.perf_counter()
    rows = create_database(folder / "shop.db")
    console.print(f"SQLite file with {rows:,} rows made in {time.perf_counter() - start:.1f} s")
    token = secrets.token_urlsafe(24)
    with ServerProcess("outside", folder / "outside.log") as outside:
        environment = {
            "PROFKIT_DEBUG_TOKEN": token,
            "SHOP_DATABASE": str(folder / "shop.db"),
            "SHOP_OUTSIDE": outside.url,
            "SHOP_LLM_API_KEY": f"sk-{secrets.token_hex(16)}",
            "SHOP_PROFILES": str(options.store.resolve()),
            "SHOP_WITHOUT": "[" + ",".join(f'"{plant}"' for plant in options.without) + "]",
        }
        with ServerProcess("shop", folder / "shop.log", environment) as shop:
            outcomes = run_load(shop.url, options, console)
            show_requests(outcomes, console)
        print((folder / "shop.log").read_text()[-3000:])


if __name__ == "__main__":
    raise SystemExit(main())
