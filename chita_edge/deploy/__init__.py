"""From a pruned network to the files that ship: what becomes sparse, export, agreement, accuracy, manifest."""
