"""A synthetic library whose true spectrum is known at any theta."""
