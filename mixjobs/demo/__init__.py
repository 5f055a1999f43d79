"""The demo library, whose true spectrum is known at any theta, and a star made from it."""
