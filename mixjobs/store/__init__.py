"""The store: its format on disk, and models loaded from it."""
