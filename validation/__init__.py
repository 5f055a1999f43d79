"""Scientific evidence: simulated and real stars whose fits show how far results can be trusted."""

import os

# Set before numpy is imported, here and in worker processes: one thread each.
for _library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
