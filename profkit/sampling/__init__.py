"""The watchdog: looks at operations in flight from a thread of its own, and what it keeps of them."""
