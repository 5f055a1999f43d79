"""Benchmarks: ratios of two things measured in the same run, with the aims beside them."""

import os

# Before numpy is imported, here and in the workers: one thread each.
for _library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
