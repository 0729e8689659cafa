"""Lets `python -m gemma_tui` stand for the command."""

from gemma_tui.cli.main import main

raise SystemExit(main())
