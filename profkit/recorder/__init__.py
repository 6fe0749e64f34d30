"""What becomes of an operation that has ended: kept or not, made a profile of in the background, and stored."""
