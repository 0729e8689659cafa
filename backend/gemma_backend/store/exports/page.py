"""Conversations as one HTML page that needs nothing else: media are in it, and nothing of it runs or reaches out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from gemma_backend.store.exports.branches import clock, ending
from gemma_backend.text.clean import clean
from gemma_backend.types import AudioPart, ImagePart, MediaRef, Node, Part, Summary, TextPart

Load = Callable[[Part | MediaRef], Part | None]
"""Reads a picture or clip from disk; None where it is gone."""

_WHO = {"user": "You", "assistant": "Model", "system": "System"}
# Nothing may be fetched, run, framed or sent, whatever stands in a conversation.
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c1e21; --quiet: #646a73; --line: #d9dce1; --box: #f3f4f6;
  --user: #7a3e9d; --model: #1f6feb; }
@media (prefers-color-scheme: dark) { :root { --back: #14161a; --text: #e4e6ea; --quiet: #9aa1ab; --line: #343941;
  --box: #1e2127; --user: #d2a8ff; --model: #79b8ff; } }
body { background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif; max-width: 46rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
header p, .note, .name { color: var(--quiet); font-size: .9rem; }
section { border-top: 1px solid var(--line); padding: .5rem 0; }
h2 { font-size: 1rem; margin: .6rem 0 .3rem; }
.user h2 { color: var(--user); } .assistant h2 { color: var(--model); }
.plain { white-space: pre-wrap; }
pre { background: var(--box); padding: .7rem .9rem; overflow-x: auto; border-radius: 4px; }
code { background: var(--box); font: .9em ui-monospace, monospace; } pre code { background: none; }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .25rem .6rem; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; color: var(--quiet); }
img { max-width: 100%; height: auto; } audio { width: 100%; } figure { margin: .6rem 0; }
"""


def to_page(conversations: Sequence[tuple[Summary, Sequence[Node]]], load: Load) -> str:
    """A page with the given turns of each conversation; Markdown is drawn, HTML in it is shown as text."""
    title = conversations[0][0].title if len(conversations) == 1 else f"{len(conversations)} conversations"
    body = "\n".join(_conversation(about, turns, load) for about, turns in conversations)
    return (
        '<!doctype html>\n<html lang="">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title or 'Untitled')}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _conversation(about: Summary, turns: Sequence[Node], load: Load) -> str:
    facts = [clock(about.created), about.model, about.profile, " ".join(f"#{tag}" for tag in about.tags)]
    head = (
        f"<header><h1>{_text(about.title or 'Untitled')}</h1><p>{_text(' · '.join(filter(None, facts)))}</p></header>"
    )
    return f"<article>\n{head}\n" + "\n".join(_turn(node, about, load) for node in turns) + "\n</article>"


def _turn(node: Node, about: Summary, load: Load) -> str:
    pieces = [] if about.kind == "completion" else [f"<h2>{_WHO[node.role]}</h2>"]
    pieces += [_medium(part, load) for part in node.parts if not isinstance(part, TextPart)]
    if node.reasoning:
        pieces.append(f"<details><summary>Reasoning</summary><div class=plain>{_text(node.reasoning)}</div></details>")
    if node.text:
        if node.role == "assistant":
            pieces.append(_markdown(node.text))
        else:
            pieces.append(f"<div class=plain>{_text(node.text)}</div>")
    said = " ".join(filter(None, (ending(node).capitalize(), node.note)))
    if said:
        pieces.append(f"<p class=note>{_text(said)}</p>")
    return f'<section class="{node.role}">\n' + "\n".join(pieces) + "\n</section>"


def _medium(part: Part | MediaRef, load: Load) -> str:
    assert not isinstance(part, TextPart)
    loaded = load(part)
    name = f"<figcaption class=name>{_text(part.name)}{'' if loaded else ' (no longer on disk)'}</figcaption>"
    if isinstance(loaded, ImagePart):
        data = base64.b64encode(loaded.data).decode("ascii")
        return f'<figure><img alt="{_text(part.name)}" src="data:{_text(loaded.mime)};base64,{data}">{name}</figure>'
    if isinstance(loaded, AudioPart):
        data = base64.b64encode(loaded.data).decode("ascii")
        return f'<figure><audio controls src="data:audio/{_text(loaded.format)};base64,{data}"></audio>{name}</figure>'
    return f"<figure>{name}</figure>"


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    # A picture in a reply is an address elsewhere, which must not be asked for: it is shown as what it links to.
    parser.add_render_rule("image", _linked_picture)
    parser.add_render_rule("link_open", _link)
    return str(parser.render(clean(text)))


def _link(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return str(self.renderToken(tokens, index, options, env))


def _linked_picture(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    return f"[{_text(token.content)}: {_text(str(token.attrs.get('src', '')))}]"


def _text(text: str) -> str:
    return escape(clean(text), quote=True)
