"""Builds everything that `make dist` gives: wheel, sdist, Debian package, manual pages, completions, desktop files."""
