"""What is said about a clip: the words in it, the tones in it, their number and order."""

from __future__ import annotations

from pocket.data.dice import Dice
from pocket.data.grammar import capital, number
from pocket.data.sound import Heard

Exchange = tuple[str, str]

ASK = (
    "", "", "", "What do you hear?", "What is in the clip?", "What is this sound?", "Describe the clip.",
    "Describe the sound.",
    "Write down what you hear.", "Transcribe this.", "Transcribe the audio.", "Transcribe the clip.",
    "What is being said?",
    "What is said?", "Which words do you hear?", "What words are spoken?", "What does the voice say?",
    "Listen to this.",
    "What did I say?", "What is in the audio?", "Please transcribe.", "Can you hear this?",
)  # fmt: skip
FIRST = ("What is the first word?", "Which word comes first?", "What word is first?")
LAST = ("What is the last word?", "Which word comes last?", "What word is last?")
COUNT = ("How many words do you hear?", "How many words are there?", "Count the words.")
COUNT_TONES = ("How many tones do you hear?", "How many tones are there?", "Count the tones.")


def transcript(heard: Heard) -> str:
    """The one answer to any open question about the clip."""
    if heard.words:
        return f"I hear the {'word' if len(heard.words) == 1 else 'words'}: {', '.join(heard.words)}."
    if heard.tones:
        many = len(heard.tones) > 1
        return f"I hear {number(len(heard.tones))} {'tones' if many else 'tone'}: {', '.join(heard.tones)}."
    return "I hear only noise."


def exchanges(dice: Dice, heard: Heard) -> list[Exchange]:
    """The first question, which is open, and sometimes one or two about details."""
    made = [(dice.pick(ASK), transcript(heard))]
    more: list[Exchange] = []
    if heard.words:
        count = len(heard.words)
        more = [
            (dice.pick(FIRST), f"The first word is {heard.words[0]}."),
            (dice.pick(LAST), f"The last word is {heard.words[-1]}."),
            (dice.pick(COUNT), f"I hear {number(count)} {'word' if count == 1 else 'words'}."),
        ]
    elif heard.tones:
        count = len(heard.tones)
        more = [
            (dice.pick(COUNT_TONES), f"I hear {number(count)} {'tone' if count == 1 else 'tones'}."),
            (dice.pick(("Which tone is first?", "What is the first tone?")), f"The first tone is {heard.tones[0]}."),
            (dice.pick(("Which tone is last?", "What is the last tone?")), f"The last tone is {heard.tones[-1]}."),
        ]
    if more and dice.chance(0.35):
        made += dice.some(more, dice.whole(1, 2))
    if more and dice.chance(0.1):
        made = made[1:] or [dice.pick(more)]
    return [(capital(question), answer) for question, answer in made]
