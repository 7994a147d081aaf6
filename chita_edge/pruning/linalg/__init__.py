"""Linear algebra of pruning: solutions on a support, Gram matrices, inverses of the Fisher matrix."""
