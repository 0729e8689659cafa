"""What `make dist` gives, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Built:
    """What `make dist` gave."""

    folder: Path

    @property
    def wheel(self) -> Path:
        """The wheel."""
        return next(self.folder.glob("*.whl"))

    @property
    def sdist(self) -> Path:
        """The source archive."""
        return next(self.folder.glob("*.tar.gz"))

    @property
    def deb(self) -> Path:
        """The Debian package."""
        return next(self.folder.glob("*.deb"))
