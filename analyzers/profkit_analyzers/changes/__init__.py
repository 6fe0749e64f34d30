"""Two sets of profiles held against each other, and many along time: what changed, and whether by chance."""
