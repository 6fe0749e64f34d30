"""profkit beside its peers, measured in one run: `python -m benchmarks.peers`.

The peers patch what they watch and each other, so they live in an environment of their own, and each runs in a process
of its own. One process without any profiler and one with a peer take turns; only one of the two works at a time. What
the peers send goes to a server in the command's own process, and is where their shares are read from.
"""
