"""Likelihood, priors, search, sampler and posterior of a fit."""
