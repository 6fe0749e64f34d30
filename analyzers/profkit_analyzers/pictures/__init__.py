"""What a page draws of a report: categories over time, and trees of calls."""
