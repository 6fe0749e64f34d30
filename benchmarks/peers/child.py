"""One process with one peer, or with none: `python -m benchmarks.peers.child ROW PEER SINK RECEIVED SCRATCH`.

Each line it reads, "peer" or "bare", is a request to measure once, with the peer around the operation or nothing. Each
line it writes is the answer, as JSON: {"value": 0.1}, {"truth": {...}, "shares": {...}}, {"unable": "why"} or
{"failed": "why"}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.peers.adapters import BARE, adapter
from benchmarks.peers.adapters.base import Bare, Peer, Surroundings, Unable
from benchmarks.peers.rows import ROWS
from benchmarks.peers.rows.base import How, Row


def main() -> None:
    """Answer until there is nothing more to read."""
    row_name, peer_name, sink, received, scratch = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # whatever a peer prints is no answer
        os.chdir(scratch)
        row = ROWS[row_name]()
        around = Surroundings(sink, Path(received), Path(scratch), keeps=row.how is How.SHARES)
        peer = adapter(peer_name)(around)
        try:
            peer.start()
            for line in sys.stdin:
                measured = Bare(around) if line.strip() == BARE else peer
                answers.write(json.dumps(_measure(row, measured)) + "\n")
            if not around.keeps:
                peer.stop()
        except Unable as reason:
            answers.write(json.dumps({"unable": str(reason)}) + "\n")
        except Exception as error:
            answers.write(json.dumps({"failed": f"{type(error).__name__}: {error}"}) + "\n")
            raise


def _measure(row: Row, peer: Peer) -> dict[str, object]:
    if row.how is not How.SHARES:
        return {"value": row.measure(peer)["value"]}
    truth = row.measure(peer)
    peer.stop()
    return {"truth": truth, "shares": peer.shares(row.names)}


if __name__ == "__main__":
    main()
