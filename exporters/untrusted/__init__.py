"""Checks of untrusted model files, one concern a file; ``exporters.read`` and ``load`` put them in order."""
