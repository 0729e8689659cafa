"""The studio's colours, from the theme's variables."""

from __future__ import annotations

STUDIO_CSS = """
StudioFrame { height: 1fr; layout: vertical; }
StudioFrame #writing { height: 1fr; layout: vertical; }
StudioFrame.-broad #writing { layout: horizontal; }

StudioPad {
    height: 1fr;
    width: 1fr;
    padding: 0 0 0 1;
    border: round $border-blurred;
    border-title-color: $muted;
    border-subtitle-color: $muted;
    background: $background;
    color: $foreground;
    &:focus { border: round $border; border-title-color: $primary; }
    & .pad--text { color: $foreground; }
    & .pad--generated { color: $accent; }
    & .pad--offered { color: $accent; text-style: italic; background: $panel; }
    & .pad--media { color: $success; text-style: bold; }
    & .pad--bos { color: $muted; background: $surface; }
    & .pad--space { color: $muted; }
    & .pad--placeholder { color: $muted; }
    & .pad--selection { color: $input-selection-foreground; background: $input-selection-background; }
    & .pad--cursor { color: $input-cursor-foreground; background: $input-cursor-background; text-style: none; }
    & .pad--token { color: $background; background: $primary; text-style: bold; }
    & .pad--track { color: $faint; }
    & .pad--thumb { color: $muted; }
}

TokenPanel, ChoiceColumns {
    border: round $border-blurred;
    border-title-color: $muted;
    border-subtitle-color: $muted;
    background: $background;
    padding: 0 1;
    &:focus { border: round $border; border-title-color: $primary; }
    & .panel--text { color: $foreground; }
    & .panel--muted { color: $muted; }
    & .panel--chosen { color: $primary; text-style: bold; }
    & .panel--bar { color: $primary; }
    & .panel--rest { color: $faint; }
    & .panel--generated { color: $accent; }
}
TokenPanel { display: none; height: 9; }
TokenPanel.-open { display: block; }
StudioFrame.-broad TokenPanel { width: 42; height: 1fr; }
ChoiceColumns { display: none; height: 1fr; }
ChoiceColumns.-open { display: block; }
StudioFrame.-choosing #writing { height: 30%; min-height: 5; }

MediaLine { display: none; height: 1; padding: 0 2; color: $muted; }
MediaLine.-filled { display: block; }
ControlsLine { height: 1; padding: 0 2; }
ControlsLine .controls--text { color: $muted; }
ControlsLine .controls--name { color: $foreground; }
"""
