"""Prompts made of examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_backend.session.fewshot import FewShot, parse_examples
from gemma_backend.types import BadInput


def test_examples_make_a_prompt_that_ends_right_behind_the_label() -> None:
    made = FewShot(
        (("sea otter", "loutre de mer"), ("cheese", "fromage")),
        query="mint",
        instruction="Translate.",
        input_label="English",
        output_label="French",
    )
    assert made.prompt() == (
        "Translate.\n\nEnglish: sea otter\nFrench: loutre de mer\n\nEnglish: cheese\nFrench: fromage\n\n"
        "English: mint\nFrench:"
    )
    assert made.stop() == ("\n",)


def test_without_labels_the_texts_stand_alone() -> None:
    made = FewShot((("1", "one"),), query="2", input_label="", output_label="", separator="\n")
    assert made.prompt() == "1\none\n2\n"


def test_answers_of_several_lines_stop_at_the_next_example() -> None:
    assert FewShot((("a", "b\nc"),)).stop() == ("\nInput:",)
    assert FewShot((("a", "b\nc"),), separator="\n###\n").stop() == ("\n###\n",)


@pytest.mark.parametrize(
    "text",
    [
        "sea otter => loutre\n\ncheese=>fromage\n",
        "sea otter -> loutre\ncheese → fromage",
        "sea otter\tloutre\ncheese\tfromage",
        'sea otter,loutre\n"cheese",fromage',
        '["sea otter", "loutre"]\n{"input": "cheese", "output": "fromage"}',
        '{"english": "sea otter", "french": "loutre"}\n{"output": "fromage", "input": "cheese"}',
    ],
)
def test_examples_are_read_in_every_common_form(text: str) -> None:
    assert parse_examples(text) == (("sea otter", "loutre"), ("cheese", "fromage"))


def test_a_line_without_two_texts_is_told_with_its_number() -> None:
    with pytest.raises(BadInput, match="Line 2"):
        parse_examples("a => b\njust words")
    assert parse_examples("code => a\\nb") == (("code", "a\nb"),)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        parse_examples(text)
    except BadInput:
        pass
