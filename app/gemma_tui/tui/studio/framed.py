"""Titles in a widget's frame."""

from __future__ import annotations

from textual.widget import Widget


def frame(widget: Widget, title: str, subtitle: str) -> None:
    """Set the titles where they are others than before: setting one paints the whole widget anew."""
    if str(widget.border_title) != title:
        widget.border_title = title
    if str(widget.border_subtitle) != subtitle:
        widget.border_subtitle = subtitle
