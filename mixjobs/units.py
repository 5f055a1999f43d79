"""Units of flux."""

from __future__ import annotations

# Flux units, in erg/s/cm²/Å, and how the declarations of each end.
UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}
