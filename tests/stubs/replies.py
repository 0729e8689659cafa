"""What the OpenAI stub answers with: texts cut into tokens, speeds, and ways to misbehave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Fault = Literal[
    "cut", "close", "stall", "garbage", "wrong-types", "error", "long-event", "binary", "split-utf8", "drip",
    "huge-usage", "null-usage", "surrogates", "no-done", "no-chunking", "one-piece",
]  # fmt: skip

_MARKDOWN = """## A heading

Some **bold** and *plain* words in a paragraph that is long enough to wrap once or twice on a narrow screen.

* one item with `code`
* another item, [a link](https://example.org/path)

```python
def add(left: int, right: int) -> int:
    return left + right
```

| name | value |
| --- | --- |
| alpha | 1 |
| beta | 2 |

"""


@dataclass(frozen=True)
class Reply:
    """What a prompt gets: `text` cut into tokens at `rate` a second (0: at once), after `delay` seconds.

    `fault` happens after `after` tokens. A token is a word with the space before it.
    """

    text: str = "Hello there, this is a reply."
    rate: float = 0.0
    delay: float = 0.0
    finish: str = "stop"
    fault: Fault | None = None
    after: int = 3
    reasoning: str = ""
    chunk: int = 1
    """How many tokens one event carries."""

    def tokens(self) -> list[str]:
        """The text cut into tokens; joined they are the text again."""
        return re.findall(r"\s*\S+|\s+$", self.text)


def mixed_markdown(tokens: int) -> str:
    """Markdown of headings, lists, code and tables, `tokens` words long."""
    words = Reply(_MARKDOWN).tokens()
    return "".join((words * (tokens // len(words) + 1))[:tokens])
