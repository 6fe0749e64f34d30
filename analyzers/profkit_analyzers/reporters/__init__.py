"""Results as text: what a terminal shows, and a pipe gets."""
