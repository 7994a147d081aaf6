"""Searches for supports that several solvers share."""
