"""The transcript's colours, from the theme's variables, so that every theme works."""

from __future__ import annotations

TRANSCRIPT_CSS = """
Transcript {
    height: 1fr;
    background: $background;
    color: $foreground;
    overflow: hidden hidden;
    scrollbar-size: 0 0;
    & > .transcript--text { color: $foreground; }
    & > .transcript--muted { color: $text-muted; }
    & > .transcript--user { color: $text-accent; text-style: bold; }
    & > .transcript--assistant { color: $text-primary; text-style: bold; }
    & > .transcript--system { color: $text-secondary; text-style: bold; }
    & > .transcript--prompt { color: $foreground; }
    & > .transcript--generated { color: $text-primary; }
    & > .transcript--reasoning { color: $text-muted; text-style: italic; }
    & > .transcript--fold { color: $text-secondary; }
    & > .transcript--heading { color: $foreground; text-style: bold underline; }
    & > .transcript--subheading { color: $foreground; text-style: bold; }
    & > .transcript--code { background: $surface; color: $foreground; }
    & > .transcript--code-label { background: $surface; color: $text-muted; }
    & > .transcript--inline-code { background: $surface; color: $text-secondary; }
    & > .transcript--link { color: $text-primary; text-style: underline; }
    & > .transcript--math { color: $text-secondary; text-style: italic; }
    & > .transcript--marker { color: $text-muted; }
    & > .transcript--quote { color: $text-muted; }
    & > .transcript--rule { color: $text-disabled; }
    & > .transcript--table-head { color: $foreground; text-style: bold; }
    & > .transcript--ok { color: $text-success; }
    & > .transcript--warning { color: $text-warning; }
    & > .transcript--error { color: $text-error; text-style: bold; }
    & > .transcript--chosen { color: $primary; }
    & > .transcript--bar { color: $surface-lighten-2; }
    & > .transcript--thumb { color: $text-muted; }
    & > .transcript--more { background: $primary; color: $text; text-style: bold; }
    & > .transcript--keyword { background: $surface; color: $text-primary; text-style: bold; }
    & > .transcript--string { background: $surface; color: $text-success; }
    & > .transcript--number { background: $surface; color: $text-warning; }
    & > .transcript--comment { background: $surface; color: $text-muted; text-style: italic; }
    & > .transcript--function { background: $surface; color: $text-accent; }
    & > .transcript--type { background: $surface; color: $text-secondary; }
    & > .transcript--constant { background: $surface; color: $text-warning; }
    & > .transcript--operator { background: $surface; color: $foreground; }
    & > .transcript--deleted { background: $surface; color: $text-error; }
    & > .transcript--inserted { background: $surface; color: $text-success; }
}
"""
