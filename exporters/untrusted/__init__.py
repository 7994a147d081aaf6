"""Checks of files that nobody vouches for, one concern a file; ``exporters.read`` and ``load`` put them in order."""
