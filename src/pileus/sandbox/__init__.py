"""Execution environments: private worlds that functions and tasks run in."""
