"""The documentation site, and the pages that are made from the program."""
