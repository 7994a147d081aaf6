"""Any network as pruning sees it: batches, layers by their calls, the objective, distances between networks."""
