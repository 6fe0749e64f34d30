"""What runs around the service: its processes, its load, a tour of the debug routes, and the report."""
