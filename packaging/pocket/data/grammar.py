"""English word forms by rule, with the exceptions that the lexicon lists."""

from __future__ import annotations

from collections.abc import Sequence

from pocket.data.lexicon import IRREGULAR_PARTICIPLE, IRREGULAR_PAST, IRREGULAR_PLURAL, NUMBERS, TENS

VOWELS = "aeiou"
# One-syllable verbs and a few more that double their last letter.
_DOUBLING = frozenset(
    [
        "skip",
        "hop",
        "run",
        "swim",
        "nod",
        "jog",
        "trip",
        "clap",
        "hum",
        "sit",
        "spin",
        "cut",
        "drop",
        "wrap",
        "chop",
        "stir",
        "slip",
        "hug",
        "forget",
        "travel",
    ]
)
_KEEP_E = frozenset({"see", "tie", "tiptoe"})


def plural(noun: str) -> str:
    """The plural: mice, berries, boxes, lamps."""
    if noun in IRREGULAR_PLURAL:
        return IRREGULAR_PLURAL[noun]
    if noun.endswith("y") and noun[-2] not in VOWELS:
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def third(verb: str) -> str:
    """The form beside he, she or it: carries, watches, runs."""
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "x", "ch", "sh", "o")) and verb != "tiptoe" else "s")


def past(verb: str) -> str:
    """The past: ran, carried, dropped, walked."""
    if verb in IRREGULAR_PAST:
        return IRREGULAR_PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ied"
    return verb + (verb[-1] if verb in _DOUBLING else "") + "ed"


def participle(verb: str) -> str:
    """The form after had: flown, carried."""
    return IRREGULAR_PARTICIPLE.get(verb) or past(verb)


def ing(verb: str) -> str:
    """The form after was: running, making, tying, walking."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and verb not in _KEEP_E:
        return verb[:-1] + "ing"
    return verb + (verb[-1] if verb in _DOUBLING else "") + "ing"


def a(phrase: str) -> str:
    """The phrase behind a or an; none before a plural mass is known here, so nouns must be countable."""
    return ("an " if phrase[0].lower() in VOWELS and not phrase.startswith(("uni", "use", "Uma")) else "a ") + phrase


def capital(sentence: str) -> str:
    """The sentence with its first letter large."""
    return sentence[:1].upper() + sentence[1:]


def number(value: int) -> str:
    """0 to 100 in words."""
    if value <= 20:
        return NUMBERS[value]
    if value == 100:
        return "one hundred"
    ten, one = divmod(value, 10)
    return TENS[ten - 2] + (f"-{NUMBERS[one]}" if one else "")


def listed(items: Sequence[str]) -> str:
    """Items joined for reading: a; a and b; a, b and c."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
