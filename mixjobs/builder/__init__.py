"""The job that fills a store."""
