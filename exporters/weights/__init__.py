"""Storage of weights: compressed sparse rows, N:M slots, and the types of their values."""
