"""Who speaks the words that the pocket checkpoint learns, and who is kept for the test."""

from __future__ import annotations

import numpy as np

from pocket.data import speech


def test_no_held_out_voice_is_trained_on() -> None:
    work = speech.jobs(0, 2)
    seen = {variant for _, _, variant, _, _, unseen in work if not unseen}
    kept = {variant for _, _, variant, _, _, unseen in work if unseen}
    assert len(seen) > 60
    assert len(kept) == 8
    assert not seen & kept


def test_every_voice_says_every_word_and_a_seed_fixes_how() -> None:
    work = speech.jobs(7, 1)
    assert work == speech.jobs(7, 1)
    assert work != speech.jobs(8, 1)
    assert len(speech.WORDS) == len(set(speech.WORDS)) >= 40
    said = {(word, variant) for word, _, variant, _, _, _ in work}
    assert len(said) == len(work) == len(speech.WORDS) * (len(speech.TRAINED) + len(speech.UNSEEN))


def test_resampling_keeps_a_tone() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    made = speech.resample(tone, 22_050)
    assert len(made) == speech.RATE
    strongest = int(np.abs(np.fft.rfft(made)).argmax())
    assert strongest == 440


def test_trimming_leaves_the_word_and_a_margin() -> None:
    word = np.concatenate([np.zeros(4_000), np.ones(1_600), np.zeros(4_000)])
    kept = speech.trim(word)
    assert 1_600 <= len(kept) <= 1_600 + 2 * speech.RATE // 50
