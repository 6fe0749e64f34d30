"""The agent's tools, one a file. A planted slow path stands beside the code that mends it."""
