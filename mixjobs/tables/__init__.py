"""The batch job: means, ratios, the store."""
