"""One run of pruning, from a plan to a result."""
