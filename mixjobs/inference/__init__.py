"""Inference: a likelihood, what is sampled from it, and the workers that share its orders."""
