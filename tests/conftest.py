"""What holds for all tests: one thread for each process, as they run in two side by side."""

from __future__ import annotations

import os

# Before torch is loaded, here and in the programs that tests start. More threads than cores wait for each other, and
# sums depend on their number, so that tests that compare bytes would depend on which test ran before.
os.environ["OMP_NUM_THREADS"] = "1"
