"""Checks of files that nobody vouches for, one concern a file; :func:`exporters.load` puts them in order."""
