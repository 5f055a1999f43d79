"""Benchmarks: ratios of two things measured in the same run, next to their goals."""

import os

# Set before numpy is imported, here and in worker processes: one thread each.
for _library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
