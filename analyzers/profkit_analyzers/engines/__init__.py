"""Where and in what pieces profiles are worked through: here, in processes, on a cluster, or once and kept."""
