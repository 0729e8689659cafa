"""The one cleaner of text that comes from outside."""
