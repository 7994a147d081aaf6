"""How weights are stored: compressed sparse rows or N:M slots, and the types of their values."""
