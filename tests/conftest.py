"""What holds for all tests: one thread for each process, as they run in two side by side; one cache of torch's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Before torch is loaded, here and in the programs that tests start. More threads than cores wait for each other, and
# sums depend on their number, so that tests that compare bytes would depend on which test ran before.
os.environ["OMP_NUM_THREADS"] = "1"
# Pruning has two threads whatever is said here. Where they have no core each, one must sleep until the other is done:
# waiting awake takes much longer on busy cores.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

# torch makes this folder where the process first keeps temporary files, which may be a test's own.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir(), "torchinductor_of_tests")))
