"""How many calls were good enough: rollups held against objectives."""
