"""The recording's film: one drawing for equal rows, times kept and shortened, text escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pyte

from pictures.film import CELL, Film


def film(*screens: str) -> Film:
    made = Film(20, 2)
    for second, text in enumerate(screens):
        screen = pyte.Screen(20, 2)
        pyte.Stream(screen).feed(text)
        made.shoot(screen, float(second))
    return made


def test_a_frame_like_the_one_before_adds_nothing() -> None:
    assert [second for second, _ in film("a", "a", "b", "b", "a").frames] == [0.0, 2.0, 4.0]


def test_rows_are_drawn_once_and_used_often() -> None:
    root = ElementTree.fromstring(film("one\r\ntwo", "one\r\nthree", "one\r\ntwo").svg("x"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}defs/{space}g")) == 3
    assert len(root.findall(f".//{space}use")) == 6


def test_text_keeps_its_place_and_is_escaped() -> None:
    svg = film("\x1b[1m a <b>\x1b[0m & c").svg("x")
    root = ElementTree.fromstring(svg)
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [" a <b>", " & c" + " " * 10]
    assert f'x="{6 * CELL[0]:.1f}"' in svg


def test_waiting_is_shortened() -> None:
    made = film("a", "b")
    made.frames[1] = (50.0, made.frames[1][1])
    made.shorten(1.5)
    assert [second for second, _ in made.frames] == [0.0, 1.5]
