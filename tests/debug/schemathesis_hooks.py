"""What schemathesis does to the cases it makes for the debug routes: it lets jobs take as little time as is allowed."""

from __future__ import annotations

from typing import Any

import schemathesis

from profkit.debug.endpoints import ROUTES

SECONDS: dict[str, Any] = {
    f"{route.method} {route.path}": one.schema
    for route in ROUTES
    for one in route.parameters
    if one.name == "seconds"
}


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Give the shortest time where one is allowed, or none is given; one that is not allowed is left as it is."""
    allowed = SECONDS.get(case.operation.label)
    if allowed is not None:
        query = case.query or {}
        try:
            seconds = float(query.get("seconds") or allowed["minimum"])
        except (TypeError, ValueError):
            return case
        if allowed["minimum"] <= seconds <= allowed["maximum"]:
            case.query = {**query, "seconds": allowed["minimum"]}
    return case
