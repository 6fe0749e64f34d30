"""What must hold of the debug routes, measured through uvicorn: `python -m benchmarks.debug [ROW ...]` prints it."""
