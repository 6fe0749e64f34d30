"""What the slow operations of a store cost: sums that merge, and the rows of a report made of them."""
