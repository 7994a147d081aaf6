"""Deployment of a pruned network: its export, the checks of the exported file, and the manifest's content."""
