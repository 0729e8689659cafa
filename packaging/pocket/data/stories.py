"""Short stories with a beginning, a trouble, a helper and an end, told of one hero who stays the same throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pocket.data import lexicon as words
from pocket.data.dice import Dice
from pocket.data.grammar import a, capital, ing, listed, number, participle, past, plural, third


@dataclass(frozen=True)
class Cast:
    """Whom and what a story is about; every sentence about them draws on the same words."""

    dice: Dice
    name: str
    kind: str
    she: str
    her: str
    him: str
    friend: str
    other: str
    place: str
    far: str
    thing: str
    quality: str
    food: str


def _cast(dice: Dice) -> Cast:
    female = dice.chance(0.5)
    name, friend = dice.pick(words.NAMES_SHE if female else words.NAMES_HE), dice.pick(words.NAMES_SHE + words.NAMES_HE)
    while friend == name:
        friend = dice.pick(words.NAMES_SHE + words.NAMES_HE)
    place, far = dice.some(words.PLACES, 2)
    return Cast(
        dice,
        name,
        dice.pick(words.ANIMALS if dice.chance(0.6) else words.PEOPLE),
        *(("she", "her", "her") if female else ("he", "his", "him")),
        friend,
        dice.pick(words.ANIMALS if dice.chance(0.6) else words.PEOPLE),
        place,
        far,
        dice.pick(words.THINGS),
        dice.pick(words.ADJECTIVES),
        dice.pick(words.FOODS),
    )


def _opening(c: Cast) -> list[str]:
    d = c.dice
    first = d.pick(
        (
            f"Once upon a time there was {a(d.pick(words.ADJECTIVES))} {c.kind} named {c.name}.",
            f"Once upon a time, in {a(d.pick(words.ADJECTIVES))} {c.place}, there lived {a(c.kind)} named {c.name}.",
            f"Once upon a time {a(d.pick(words.ADJECTIVES))} {c.kind} called {c.name} lived near {a(c.place)}.",
            f"{c.name} was {a(d.pick(words.ADJECTIVES))} {c.kind} who lived by the {c.place}.",
            f"Long ago there was {a(c.kind)} called {c.name}, who was very {d.pick(words.FEELINGS)}.",
            f"There was once {a(d.pick(words.ADJECTIVES))} {c.kind}. The name of the {c.kind} was {c.name}.",
        )
    )
    made = [first]
    if d.chance(0.7):
        verb, second = d.some(words.GO_VERBS, 2)
        made.append(
            d.pick(
                (
                    f"{c.name} liked to {verb} and to {second} all day.",
                    f"Every morning {c.name} would {verb} to the {c.place}.",
                    f"Most of all, {c.she} loved {plural(c.food)}.",
                    f"{c.name} had {a(c.quality)} {c.thing}, and {c.she} took it everywhere.",
                    f"{capital(c.her)} best friend was {a(c.other)} named {c.friend}.",
                    f"{capital(c.she)} had {number(d.whole(2, 12))} {plural(d.pick(words.THINGS))} at home.",
                )
            )
        )
    return made


def _scenery(c: Cast) -> str:
    d = c.dice
    many = plural(d.pick(words.ANIMALS))
    return d.pick(
        (
            f"It was {a(d.pick(words.WEATHER))} day, and the {many} were {ing(d.pick(words.GO_VERBS))}.",
            f"One {d.pick(words.WEATHER)} {d.pick(words.DAYS)}, {c.name} went to the {c.far}.",
            f"In {d.pick(words.MONTHS)} the {c.place} was full of {d.pick(words.ADJECTIVES)} "
            f"{plural(d.pick(words.NATURE))}.",
            f"The {d.pick(words.COLOURS)} {plural(d.pick(words.NATURE))} by the {c.far} looked "
            f"{d.pick(words.ADJECTIVES)}.",
            f"Some {d.pick(words.ADJECTIVES)} {many} {past(d.pick(words.GO_VERBS))} past the {c.place}.",
            f"That {d.pick(words.SEASONS)} the days were {d.pick(words.WEATHER)} and the nights were "
            f"{d.pick(words.WEATHER)}.",
        )
    )


def _lost(c: Cast) -> list[str]:
    d = c.dice
    under, behind = d.some(words.THINGS, 2)
    where = d.pick(words.THINGS + words.NATURE)
    return [
        f"One day {c.name} lost {c.her} {c.quality} {c.thing}.",
        f"{capital(c.she)} looked under the {under} and behind the {behind}, but the {c.thing} was not there.",
        d.pick((f"{c.name} was very sad.", f"{c.name} began to cry.", f'"Where is my {c.thing}?" {c.she} asked.')),
        f"Then {a(c.other)} named {c.friend} {past(d.pick(words.GO_VERBS))} by.",
        d.pick(
            (
                f'"I will help you," said {c.friend}.',
                f'"Let us look together," {c.friend} said {d.pick(words.ADVERBS)}.',
            )
        ),
        f"They {past(d.pick(words.GO_VERBS))} to the {c.far} and found the {c.thing} beside {a(where)}.",
        d.pick((f"{c.name} thanked {c.friend} and was happy again.", f'"Thank you, {c.friend}!" said {c.name}.')),
    ]


def _found(c: Cast) -> list[str]:
    d = c.dice
    return [
        f"One day, near the {c.far}, {c.name} found {a(c.quality)} {c.thing}.",
        f'"Whose {c.thing} is this?" {c.she} {d.pick(("asked", "whispered", "wondered"))}.',
        f"{capital(c.she)} asked {a(d.pick(words.ADJECTIVES))} {d.pick(words.PEOPLE)}, but nobody knew.",
        f"At last {c.name} met {c.friend} the {c.other}, who looked {d.pick(words.FEELINGS)}.",
        f'"That is my {c.thing}!" cried {c.friend}. "I have looked for it everywhere."',
        f"{c.name} gave the {c.thing} back {d.pick(words.ADVERBS)}.",
        f"{c.friend} was so {d.pick(('grateful', 'happy', 'delighted', 'pleased'))} that they shared {a(c.food)}.",
    ]


def _storm(c: Cast) -> list[str]:
    d = c.dice
    return [
        f"One evening {a(d.pick(('terrible', 'mighty', 'sudden', 'strange', 'cold')))} storm came over the {c.place}.",
        f"The wind {past(d.pick(('shake', 'push', 'lift', 'break')))} the {plural(d.pick(words.THINGS))}, and "
        f"rain fell on the "
        f"{plural(d.pick(words.NATURE))}.",
        f"{c.name} was frightened and hid behind {a(d.pick(words.THINGS))}.",
        f"Then {c.she} heard somebody cry. It was {c.friend} the {c.other}, who was wet and cold.",
        f'"Come inside," {d.pick(("said", "called", "shouted"))} {c.name}, and {c.she} gave {c.friend} '
        f"{a(c.quality)} {c.thing}.",
        f"They ate warm {plural(c.food)} and told stories until the storm was over.",
        f"In the morning the sun was {d.pick(('bright', 'warm', 'golden'))}, and they were friends.",
    ]


def _cooking(c: Cast) -> list[str]:
    d = c.dice
    first, second = d.some(words.FOODS, 2)
    return [
        f"One {d.pick(words.DAYS)} {c.name} wanted to make {a(d.pick(words.ADJECTIVES))} {c.food} for {c.friend} "
        f"the {c.other}.",
        f"{capital(c.she)} needed {number(d.whole(2, 9))} {plural(first)}, {a(second)} and {a(d.pick(words.THINGS))}.",
        f"{c.name} {past(d.pick(('stir', 'chop', 'slice', 'peel', 'boil', 'roast')))} everything "
        f"{d.pick(words.ADVERBS)}.",
        d.pick(
            (
                f"But the {c.food} fell on the floor!",
                f"But {c.she} forgot the {first}!",
                f"Soon the whole {c.place} smelled {d.pick(('sweet', 'lovely', 'wonderful', 'fresh'))}.",
            )
        ),
        f'When {c.friend} came, {c.name} said, "I hope you like it."',
        f"{c.friend} {past(d.pick(words.EAT_VERBS))} it and smiled.",
        f'"It is the best {c.food} in the {c.far}," said {c.friend}.',
    ]


def _journey(c: Cast) -> list[str]:
    d = c.dice
    return [
        f"One day {c.name} decided to go to the {d.pick(words.ADJECTIVES)} {c.far}.",
        f"{capital(c.she)} packed {a(c.thing)}, {a(d.pick(words.THINGS))} and some {plural(c.food)}.",
        f"First {c.she} {past(d.pick(words.GO_VERBS))} over {a(d.pick(words.ADJECTIVES))} {d.pick(words.PLACES)}.",
        f"Then {c.she} {past(d.pick(words.GO_VERBS))} through {a(d.pick(words.PLACES))}, where the "
        f"{plural(d.pick(words.ANIMALS))} "
        f"were {ing(d.pick(words.GO_VERBS))}.",
        f"After {number(d.whole(2, 20))} days {c.she} met {c.friend} the {c.other}.",
        f'"You have {participle(d.pick(("travel", "walk", "come", "ride")))} so far," said {c.friend}. "You must be '
        f'{d.pick(words.FEELINGS)}."',
        f"They {past(d.pick(words.GO_VERBS))} together until the sun went down, and {c.name} was glad {c.she} had "
        f"come.",
    ]


def _contest(c: Cast) -> list[str]:
    d = c.dice
    verb = d.pick(("run", "swim", "sing", "dance", "jump", "climb", "fly", "race"))
    return [
        f"One day there was a contest in the {c.far} to see who could {verb} best.",
        f'{c.friend} the {c.other} was {d.pick(("proud", "sure", "boastful", "famous"))}. "I always win," '
        f"{c.friend} said.",
        f"{c.name} was {d.pick(words.FEELINGS)}, but {c.she} practised every "
        f"{d.pick(('day', 'night', 'morning', 'evening'))}.",
        f"On {d.pick(words.DAYS)} all the {plural(d.pick(words.ANIMALS))} and {plural(d.pick(words.ANIMALS))} "
        f"came to watch.",
        f"{c.friend} began {d.pick(words.ADVERBS)}, but soon {c.friend} was tired.",
        f"{c.name} {past(verb)} {d.pick(words.ADVERBS)} and did not stop.",
        f"{c.name} won {a(c.quality)} {c.thing}, and even {c.friend} "
        f"{past(d.pick(('cheer', 'clap', 'smile', 'wave')))}.",
    ]


def _garden(c: Cast) -> list[str]:
    d = c.dice
    plant = d.pick(("seed", "flower", "tree", "rose", "tulip", "sunflower", "bush", "daisy"))
    return [
        f"In {d.pick(words.MONTHS)} {c.name} put {a(d.pick(words.ADJECTIVES))} {plant} in the ground near the "
        f"{c.place}.",
        f"{capital(c.she)} gave it water every {d.pick(words.DAYS)} and waited "
        f"{d.pick(('patiently', 'quietly', 'eagerly'))}.",
        f"For {number(d.whole(2, 20))} weeks nothing happened, and {c.name} was {d.pick(words.FEELINGS)}.",
        f'"Do not give up," said {c.friend} the {c.other}. "Good things take time."',
        f"Then one {d.pick(words.WEATHER)} morning there was {a(d.pick(words.ADJECTIVES))} "
        f"{d.pick(words.COLOURS)} leaf.",
        f"It grew and grew until it was as tall as {a(d.pick(words.PLACES + words.THINGS))}.",
        f"{c.name} and {c.friend} sat under it and ate {plural(c.food)}.",
    ]


def _gift(c: Cast) -> list[str]:
    d = c.dice
    return [
        f"It was the birthday of {c.friend} the {c.other}, and {c.name} had no gift.",
        f"{capital(c.she)} went to the {c.far}, but {a(c.thing)} cost {number(d.whole(5, 60))} coins.",
        f'"I will make one," said {c.name}.',
        f"{capital(c.she)} took {a(d.pick(words.THINGS))} and {a(d.pick(words.THINGS))} and worked all night.",
        f"{capital(c.she)} {past(d.pick(('paint', 'polish', 'decorate', 'clean', 'mend')))} it until it was "
        f"{c.quality}.",
        f"When {c.friend} saw the {c.thing}, {c.friend} "
        f"{past(d.pick(('laugh', 'dance', 'cry', 'jump', 'shout')))} with joy.",
        f'"I {d.pick(("love", "like", "admire"))} it because you made it," said {c.friend}.',
    ]


def _secret(c: Cast) -> list[str]:
    d = c.dice
    return [
        f"One night {c.name} heard {a(d.pick(words.ADJECTIVES))} sound from the {c.far}.",
        f"{capital(c.she)} lit {a(d.pick(('lamp', 'candle', 'lantern')))} and {past(d.pick(words.GO_VERBS))} there "
        f"{d.pick(words.ADVERBS)}.",
        f"Behind {a(d.pick(words.THINGS))} {c.she} saw {a(d.pick(words.ADJECTIVES))} {c.other} with one "
        f"{d.pick(words.BODY)} "
        f"in {a(d.pick(words.THINGS))}.",
        f'"My name is {c.friend}, and I am stuck," said the {c.other}.',
        f"{c.name} {past(d.pick(('pull', 'push', 'lift', 'shake', 'turn')))} {d.pick(words.ADVERBS)}, and "
        f"{c.friend} was free.",
        f'"I will tell you {a(d.pick(words.IDEAS))}," said {c.friend}. "There is {a(c.quality)} {c.thing} in the '
        f'{c.place}."',
        f"{c.name} found it the next day and kept the secret for {number(d.whole(2, 100))} years.",
    ]


PLOTS: tuple[Callable[[Cast], list[str]], ...] = (
    _lost, _found, _storm, _cooking, _journey, _contest, _garden, _gift, _secret,
)  # fmt: skip


def _market(c: Cast) -> str:
    d = c.dice
    items = [f"{number(d.whole(2, 30))} {plural(d.pick(words.THINGS + words.FOODS))}" for _ in range(3)]
    return f"At the market {c.name} {past(d.pick(('see', 'buy', 'sell', 'count', 'carry')))} {listed(items)}."


def _body(c: Cast) -> str:
    d = c.dice
    verb = d.pick(words.DO_VERBS)
    return d.pick(
        (
            f"{capital(c.her)} {d.pick(words.BODY)} was {d.pick(words.ADJECTIVES)}, and {c.her} "
            f"{d.pick(words.BODY)} was "
            f"{d.pick(words.ADJECTIVES)}.",
            f"{capital(c.she)} was {ing(verb)} {a(d.pick(words.THINGS))} when the {d.pick(words.PEOPLE)} "
            f"{past(d.pick(words.GO_VERBS))} away.",
            f"The {plural(d.pick(words.PEOPLE))} had {participle(verb)} all the {plural(d.pick(words.THINGS))}.",
            f"{c.name} had {a(d.pick(words.IDEAS))} about {a(d.pick(words.IDEAS))}.",
            f"There were {plural(d.pick(words.IDEAS))} and {plural(d.pick(words.IDEAS))} for everyone.",
            f"People say that {a(d.pick(words.ADJECTIVES))} {d.pick(words.ANIMALS)} never "
            f"{third(d.pick(words.GO_VERBS))} "
            f"{d.pick(words.ADVERBS)}.",
            f"It is known that every {d.pick(words.PEOPLE)} {third(verb)} {a(d.pick(words.THINGS))} and "
            f"{third(d.pick(words.EAT_VERBS))} {plural(d.pick(words.FOODS))}.",
            f"{c.name} wanted to {verb} {a(d.pick(words.THINGS))}, to {d.pick(words.EAT_VERBS)} "
            f"{a(d.pick(words.FOODS))} and to "
            f"{d.pick(words.GO_VERBS)} {d.pick(words.ADVERBS)}.",
            f"{capital(c.she)} was {ing(d.pick(words.EAT_VERBS))} {plural(d.pick(words.FOODS))} and "
            f"{ing(d.pick(words.DO_VERBS))} {plural(d.pick(words.THINGS))}.",
            f"The {plural(d.pick(words.PEOPLE))} {past(verb)} {a(d.pick(words.ADJECTIVES))} "
            f"{d.pick(words.NATURE)} near the "
            f"{plural(d.pick(words.PLACES))}.",
        )
    )


def _ending(c: Cast) -> str:
    d = c.dice
    return d.pick(
        (
            "They lived happily ever after.",
            f"From that day on, {c.name} and {c.friend} were best friends.",
            f"{c.name} went home and slept {d.pick(('softly', 'quietly', 'happily'))}.",
            f"And {c.name} never forgot that day in the {c.far}.",
            f"That is the story of {c.name} the {c.kind}.",
            "The end.",
            f"{c.name} learned that it is good to be "
            f"{d.pick(('kind', 'brave', 'honest', 'patient', 'polite', 'careful', 'generous'))}.",
        )
    )


def story(dice: Dice) -> str:
    """A story of 8 to 13 sentences in one paragraph."""
    cast = _cast(dice)
    plot = dice.pick(PLOTS)(cast)
    made = _opening(cast)
    if dice.chance(0.8):
        made.append(_scenery(cast))
    cut = dice.whole(1, len(plot) - 1)
    made += plot[:cut]
    if dice.chance(0.7):
        made.append(dice.pick((_market, _body, _body, _body, _scenery))(cast))
    return " ".join([*made, *plot[cut:], _ending(cast)])


def short_story(dice: Dice) -> str:
    """A story of five or six sentences, as an answer to somebody who asks for one."""
    cast = _cast(dice)
    plot = dice.pick(PLOTS)(cast)
    return " ".join([_opening(cast)[0], *plot[:2], *plot[-2:], _ending(cast)])
