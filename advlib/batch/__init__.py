"""Batches of runs: plan the jobs, execute those that are missing, store what they made."""
