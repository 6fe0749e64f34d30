"""Log records that say which request and which operation they belong to."""

from __future__ import annotations

import logging

from profkit.live_requests import name_of
from profkit.masking import masker
from profkit.operations import current as current_operation
from profkit.request_context import request_context

NOTHING = "-"
"""What stands in a record that belongs to no request or operation."""


class RequestContextFilter(logging.Filter):
    """Adds `request_id`, `trace_id` and `operation` to every log record, "-" outside of them. Drops no record.

    `operation` is the name of the innermost one in flight, masked as in its profile; of a request, that of the route it
    has reached by now. Add it to handlers (a logger's filter does not see its children's records), then use
    `%(request_id)s %(operation)s` in the format, or a formatter that writes all attributes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attributes, but for those that the record has already."""
        present = record.__dict__
        if "request_id" not in present or "trace_id" not in present:
            context = request_context.get()
            present.setdefault("request_id", context.request_id if context else NOTHING)
            present.setdefault("trace_id", context.trace_id if context else NOTHING)
        if "operation" not in present:
            operation = current_operation.get()
            record.operation = (
                NOTHING if operation is None or operation.ended else masker.name(name_of(operation))
            )
        return True


def install_request_context(logger: logging.Logger | None = None) -> int:
    """Add a `RequestContextFilter` to each handler of `logger` (the root logger by default) that has none.

    Returns how many handlers have one now; call it after logging is set up, since 0 means that nothing will happen.
    """
    handlers = (logger or logging.getLogger()).handlers
    for handler in handlers:
        if not any(isinstance(one, RequestContextFilter) for one in handler.filters):
            handler.addFilter(RequestContextFilter())
    return len(handlers)
