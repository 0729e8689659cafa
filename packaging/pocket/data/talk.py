"""Questions and answers without media: greetings, what the model is, counting, sums, and facts of its world."""

from __future__ import annotations

from collections.abc import Callable

from pocket.data import lexicon as words
from pocket.data.dice import Dice
from pocket.data.grammar import a, capital, listed, number, plural
from pocket.data.stories import short_story

Exchange = tuple[str, str]

HELLO = "Hello! I can describe pictures of shapes, write down spoken words, and tell short stories."
WHO = "I am Pocket, a very small Gemma model. I was trained on shapes, sounds and short stories."
CAN = "I can describe pictures of shapes, write down spoken words, count, and tell short stories."
UNKNOWN = "I do not know that. I am a very small model, and I know about shapes, sounds and short stories."

SAME: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Hey", "Good morning!", "Good evening!", "Good day", "Hello there",
      "hello", "hi"), HELLO),
    (("Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Which model are you?",
      "What model is this?", "Introduce yourself.", "who are you"), WHO),
    (("What can you do?", "How can you help me?", "What are you good at?", "Help", "help", "What do you know?",
      "What should I ask you?", "How does this work?"), CAN),
    (("How are you?", "How do you do?", "How are you today?", "Are you well?"),
     "I am well, thank you. How can I help you?"),
    (("Thank you!", "Thanks", "Thank you very much.", "Thanks!", "Great, thanks.", "thanks"), "You are welcome!"),
    (("Goodbye", "Bye", "Bye!", "Good night!", "See you later.", "Goodbye!"), "Goodbye! Come back soon."),
    (("Who made you?", "How were you made?", "How were you trained?", "Where do you come from?"),
     "I was trained from nothing on text, pictures and sounds that a program made."),
    (("How big are you?", "How many parameters do you have?", "Are you large?", "Are you small?"),
     "I am very small: I have only a few million parameters."),
    (("Can you see pictures?", "Can you see?", "Can you look at images?"),
     "Yes, I can see. Show me a picture with a few shapes."),
    (("Can you hear?", "Can you hear sounds?", "Can you listen to audio?"),
     "Yes, I can hear. Play me a clip with a few spoken words."),
    (("Are you a person?", "Are you human?", "Are you alive?"), "No, I am a small computer model."),
    (("What is the weather like?", "What is the weather today?", "Will it rain tomorrow?", "What time is it?"),
     "I cannot know that. I only see what you show me."),
    (("How many days are in a week?", "How many days does a week have?", "How long is a week?"),
     "A week has seven days."),
    (("How many months are in a year?", "How many months does a year have?", "How long is a year?"),
     "A year has twelve months."),
    (("Which shapes do you know?", "What shapes do you know?", "Name the shapes you know."),
     "I know circles, squares, triangles, stars, crosses, rings, hearts and diamonds."),
    (("Which colours do you know?", "What colours do you know?", "Name some colours."),
     f"I know {listed(words.COLOURS)}."),
    (("Name the days of the week.", "What are the days of the week?", "List the days of the week."),
     f"The days are {listed(words.DAYS)}."),
    (("Name the seasons.", "What are the seasons?", "How many seasons are there?"),
     "There are four seasons: spring, summer, autumn and winter."),
)  # fmt: skip
ASK_STORY = (
    "Tell me a story.", "Tell me a short story.", "Please tell me a story.", "Can you tell a story?", "Write a story.",
    "Write a short story.", "I want to hear a story.", "Tell a story",
)  # fmt: skip


def fixed(dice: Dice) -> Exchange:
    """A question that always has the same answer."""
    asks, answer = dice.pick(SAME)
    return dice.pick(asks), answer


def _count(dice: Dice) -> Exchange:
    low = dice.whole(0, 90)
    high = low + dice.whole(2, 9)
    ask = dice.pick(("Count from {} to {}.", "Please count from {} to {}.", "Can you count from {} to {}?"))
    first, last = (str(low), str(high)) if dice.chance(0.4) else (number(low), number(high))
    return ask.format(first, last), capital(", ".join(number(value) for value in range(low, high + 1)) + ".")


def _next(dice: Dice) -> Exchange:
    value, after = dice.whole(1, 98), dice.chance(0.5)
    word = "after" if after else "before"
    ask = dice.pick(("What comes {0} {1}?", "Which number comes {0} {1}?", "What number is {0} {1}?"))
    shown = str(value) if dice.chance(0.3) else number(value)
    return ask.format(word, shown), capital(f"{number(value + (1 if after else -1))} comes {word} {number(value)}.")


def _sum(dice: Dice) -> Exchange:
    first, second = dice.whole(0, 10), dice.whole(0, 10)
    if dice.chance(0.5):
        shown = f"{first} + {second}" if dice.chance(0.4) else f"{number(first)} plus {number(second)}"
        return f"What is {shown}?", capital(f"{number(first)} plus {number(second)} is {number(first + second)}.")
    total = first + second
    shown = f"{total} - {first}" if dice.chance(0.4) else f"{number(total)} minus {number(first)}"
    return f"What is {shown}?", capital(f"{number(total)} minus {number(first)} is {number(second)}.")


def _larger(dice: Dice) -> Exchange:
    first, second = dice.some(range(101), 2)
    most = dice.chance(0.5)
    ask = f"Which is {'larger' if most else 'smaller'}, {number(first)} or {number(second)}?"
    chosen, rest = (max, min) if most else (min, max)
    return ask, capital(
        f"{number(chosen(first, second))} is {'larger' if most else 'smaller'} than {number(rest(first, second))}."
    )


def _follows(dice: Dice) -> Exchange:
    row = dice.pick((words.DAYS, words.MONTHS))
    at, step = dice.whole(0, len(row) - 1), dice.pick((-1, 1))
    word, kind = ("after" if step == 1 else "before"), ("day" if row is words.DAYS else "month")
    ask = dice.pick(("What comes {0} {1}?", "Which {2} comes {0} {1}?", "What {2} is {0} {1}?")).format(
        word, row[at], kind
    )
    return ask, f"{row[(at + step) % len(row)]} comes {word} {row[at]}."


def _opposite(dice: Dice) -> Exchange:
    first, second = dice.pick(list(words.OPPOSITES.items()))
    ask = dice.pick(("What is the opposite of {}?", "Tell me the opposite of {}.", "Which word is the opposite of {}?"))
    return ask.format(first), f"The opposite of {first} is {second}."


def _animal(dice: Dice) -> Exchange:
    kind = dice.whole(0, 2)
    if kind == 0:
        name, sound = dice.pick(list(words.SOUNDS.items()))
        ask = dice.pick(("What sound does {} make?", "What does {} say?", "Which sound does {} make?"))
        return ask.format(a(name)), f"{capital(a(name))} says {sound}."
    if kind == 1:
        name, home = dice.pick(list(words.HOMES.items()))
        where = "water" if home == "water" else a(home)
        return dice.pick(("Where does {} live?", "What is the home of {}?")).format(a(name)), (
            f"{capital(a(name))} lives {'on' if home in ('ship', 'farm', 'web') else 'in'} {where}."
        )
    name, legs = dice.pick(list(words.LEGS.items()))
    many = "no" if legs == 0 else number(legs)
    ask = dice.pick(("How many legs does {} have?", "Tell me how many legs {} has."))
    return ask.format(a(name)), f"{capital(a(name))} has {many} legs."


def _colour(dice: Dice) -> Exchange:
    thing, colour = dice.pick(list(words.COLOUR_OF.items()))
    mass = thing in ("grass", "snow", "coal", "milk", "chocolate")
    shown = thing if mass else f"the {thing}" if thing in ("sky", "sun", "sea", "night") else a(thing)
    ask = dice.pick(("What colour is {}?", "Which colour is {}?", "What is the colour of {}?"))
    return ask.format(shown), f"{capital(shown)} is {colour}."


def _work(dice: Dice) -> Exchange:
    if dice.chance(0.5):
        who, does = dice.pick(list(words.JOBS.items()))
        return dice.pick(("What does {} do?", "What is the work of {}?")).format(a(who)), f"{capital(a(who))} {does}."
    what, does = dice.pick(list(words.EVERYDAY.items()))
    return dice.pick(("What does {} do?", "What is {} for?")).format(what), f"{capital(what)} {does}."


def _spell(dice: Dice) -> Exchange:
    word = dice.pick(words.ANIMALS + words.COLOURS + words.FOODS)
    if dice.chance(0.5):
        return f"What is the plural of {word}?", f"The plural of {word} is {plural(word)}."
    return f"Is {a(word)} an animal?" if word not in words.COLOURS else f"Is {word} a colour?", (
        f"Yes, {word} is a colour."
        if word in words.COLOURS
        else f"Yes, {a(word)} is an animal."
        if word in words.ANIMALS
        else f"No, {a(word)} is food."
    )


FACTS: tuple[Callable[[Dice], Exchange], ...] = (
    _count, _next, _sum, _larger, _follows, _opposite, _animal, _colour, _work, _spell,
)  # fmt: skip


def _unknown(dice: Dice) -> Exchange:
    """What it can't know: questions about anything else, and words in no order."""
    any_word = words.THINGS + words.PLACES + words.IDEAS + words.PEOPLE + words.NATURE
    one, two, verb = dice.pick(any_word), dice.pick(any_word), dice.pick(words.GO_VERBS + words.DO_VERBS)
    made = dice.pick(
        (
            f"Why does {a(one)} {verb} {a(two)}?", f"How do I {verb} {a(one)}?",
            f"What is the capital of {capital(one)}?",
            f"Who invented the {one}?", f"When did the {one} {verb}?", f"Explain the {one}.",
            f"Write code for {a(one)}.",
            f"Can you {verb} the {one}?", f"How much is {a(one)}?", f"Where can I buy {a(one)}?",
            f"Should I {verb} the {one} or the {two}?", f"Who is the {one} of {capital(two)}?",
            f"Translate the word {one}.", f"What do you think about {plural(one)}?", f"{one} {two} {verb}",
            "".join(dice.pick("abcdefghijklmnopqrstuvwxyz ") for _ in range(dice.whole(3, 24))).strip() or "x",
        )
    )  # fmt: skip
    return made, UNKNOWN


def exchange(dice: Dice) -> Exchange:
    """One question and its answer."""
    kind = dice.real(0, 1)
    if kind < 0.24:
        return fixed(dice)
    if kind < 0.78:
        return dice.pick(FACTS)(dice)
    if kind < 0.9:
        return _unknown(dice)
    return dice.pick(ASK_STORY), short_story(dice)
