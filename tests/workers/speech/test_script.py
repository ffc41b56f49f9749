"""What is said of a chapter: by whom, how, and with which silence after it; its segments stay the text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.projects.models import Pronunciation
from app.core.vocabulary import LANGUAGES, Language
from tests.workers.conftest import Remembered, Reports
from tests.workers.pipeline.test_narration import SCRIPT, Hum, Shelf
from workers.audio.pcm import Pcm
from workers.pipeline.narration import narrate
from workers.speech.dialogue import cut, dialogue
from workers.speech.engine import Voice
from workers.speech.pauses import Pauses, is_heading, is_scene_break, without_marks
from workers.speech.pronunciation import respelled
from workers.speech.script import Script, Utterance, utterances
from workers.speech.segment_cache import name_of

PLAIN = replace(SCRIPT, title="", language="en")
TEXT = st.text(alphabet='他说：“”「」『』"«» ‘’ab.,，。！*-\n', max_size=200)


class Reader(Hum):
    """An engine with more voices, for which numbers are written out."""

    wants_words = True

    def voices(self) -> list[Voice]:
        return [Voice(name, name, "mul") for name in ("teller", "other")]

    def voice_for(self, language: str, wanted: str | None) -> str:
        return wanted or "teller"


def planned(script: Script) -> list[Utterance]:
    return utterances(script, Reader())


def voiced(text: str) -> list[tuple[str, str]]:
    found = planned(replace(PLAIN, text=text, dialogue_voice="other"))
    return [(utterance.said.voice, utterance.text) for utterance in found if utterance.said]


@given(TEXT, st.sampled_from(LANGUAGES), st.sampled_from([None, "other"]))
def test_places_of_the_segments_follow_on_each_other_and_are_the_text(
    text: str, language: Language, other: str | None
) -> None:
    script = replace(PLAIN, text=text, language=language, dialogue_voice=other)
    at = 0
    for utterance in planned(script):
        assert (utterance.start, text[utterance.start : utterance.end]) == (at, utterance.text)
        at = utterance.end
    assert at == len(text)


def said(text: str) -> list[str]:
    return [text[start:end] for start, end in dialogue(text)]


@pytest.mark.parametrize(
    ("text", "speeches"),
    [
        ("他说：“走吧。”她笑了。", ["“走吧。”"]),
        ("“走吧，”他说，“天黑了。”", ["“走吧，”", "“天黑了。”"]),
        ("「你看過『紅樓夢』嗎？」他問。", ["「你看過『紅樓夢』嗎？」"]),
        ("『好！』", ["『好！』"]),
        ("“He said “no” twice,” she told us.", ["“He said “no” twice,”"]),
        ('"Come in," he said. "Sit down."', ['"Come in,"', '"Sit down."']),
        ("« Venez ! » dit-il.", ["« Venez ! »"]),
        ("所谓“自由”不过是个词。", []),
        ("A so-called “friend” of his came.", []),
        ("“This is never closed, and so it is a slip.\nNobody spoke.", []),
        ("“One.\n\n“Two.”", ["“One.", "“Two.”"]),
        ("It’s John’s ‘thing’, isn’t it?", []),
        ("””他来了。““", []),
        ("", []),
    ],
)
def test_speeches_are_found(text: str, speeches: list[str]) -> None:
    assert said(text) == speeches


@given(TEXT)
def test_any_text_is_cut_into_pieces_that_are_the_text(text: str) -> None:
    spans = dialogue(text)
    assert all(start < end for start, end in spans)
    assert spans == sorted(spans)
    assert "".join(text[first:last] for first, last, _ in cut(0, len(text), spans)) == text


def test_speeches_are_read_by_the_second_voice() -> None:
    assert voiced("He said, “Run!” Nobody ran.\n\n“Why not?”") == [
        ("teller", "He said, "),
        ("other", "“Run!”"),
        ("teller", " Nobody ran.\n\n"),
        ("other", "“Why not?”"),
    ]


def test_without_a_second_voice_a_speech_stays_in_its_segment() -> None:
    assert [one.text for one in planned(replace(PLAIN, text="He said, “Run!” Nobody ran."))] == [
        "He said, “Run!” Nobody ran."
    ]


@pytest.mark.parametrize(
    ("segment", "pause"),
    [
        ("He came. ", "sentence"),
        ("他来了。", "sentence"),
        ("“他来了！”", "sentence"),
        ("he came,", "clause"),
        ("He came.\n", "paragraph"),
        ("第三章 归来\n", "heading"),
        ("Chapter Three\n\n", "heading"),
        ("# The End\n", "heading"),
        ("My Title\n\n", "heading"),
        ("He left.\n\n* * *\n\n", "scene"),
        ("他走了。\n***\n", "scene"),
        ("他走了。\n———\n", "scene"),
        ("He left.\n\n\n\n", "scene"),
        ("他走了。\n\n", "paragraph"),
    ],
)
def test_pause_follows_from_what_ends(segment: str, pause: str) -> None:
    pauses = Pauses(clause=1, sentence=2, paragraph=3, heading=4, scene=5)
    assert pauses.after(segment, title="My Title") == getattr(pauses, pause)


def test_marks_between_scenes_and_before_headings_are_not_said() -> None:
    assert without_marks("He left.\n\n* * *\n\n") == "He left."
    assert without_marks("## The End\n") == "The End"
    assert without_marks("他说——\n走了") == "他说——\n走了"
    assert not is_scene_break("Well — he left.")
    assert not is_heading("第三章他写得很快，第四章却写了三年之久。" * 5)


def test_scene_that_ends_makes_a_longer_silence() -> None:
    found = planned(replace(PLAIN, text="He left.\n\n***\n\nShe stayed."))
    assert [utterance.pause for utterance in found if utterance.said] == [2.0, 0.4]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hermione came. hermione's cat.", "Her-my-oh-nee came. Her-my-oh-nee's cat."),
        ("Hermiones and Xhermione", "Hermiones and Xhermione"),
        ("US and us", "you ess and us"),
        ("重庆人在重庆", "虫庆人在虫庆"),
        ("AI技术，TRAIN", "人工智能技术，TRAIN"),
        ("C++ and C", "see plus plus and see"),
        ("重庆大学", "虫大"),
    ],
)
def test_terms_are_respelled_as_whole_words(text: str, spoken: str) -> None:
    terms = [
        Pronunciation(term="Hermione", respelling="Her-my-oh-nee"),
        Pronunciation(term="US", respelling="you ess", match_case=True),
        Pronunciation(term="重庆", respelling="虫庆"),
        Pronunciation(term="重庆大学", respelling="虫大"),
        Pronunciation(term="AI", respelling="人工智能"),
        Pronunciation(term="C", respelling="see", match_case=True),
        Pronunciation(term="C++", respelling="see plus plus"),
    ]
    assert respelled(text, terms) == spoken


def test_respelling_and_numbers_change_what_is_said_and_not_the_segments() -> None:
    terms = (Pronunciation(term="Siobhan", respelling="Shivawn"),)
    [one] = planned(replace(PLAIN, text="Siobhan paid $5.", pronunciations=terms))
    assert one.said
    assert (one.text, one.said.text) == ("Siobhan paid $5.", "Shivawn paid 5 dollars.")


def test_name_of_a_segment_follows_from_its_speed() -> None:
    names = [planned(replace(PLAIN, text="Hello there.", speed=speed))[0].name for speed in (1.0, 1.25)]
    [one] = planned(replace(PLAIN, text="Hello there."))
    assert one.said
    assert names[0] == name_of(one.said._replace(speed=1.0), Reader()) != names[1]


async def test_a_new_pronunciation_has_only_the_segments_voiced_that_it_touches(reports: Reports) -> None:
    engine, kept = Hum(), Remembered()
    text = "\n\n".join([*(f"Paragraph {word} is here." for word in ("one", "two", "three")), "Siobhan came."])
    script = replace(PLAIN, text=text)
    await narrate(script, engine, kept, Shelf(), reports)
    assert len(engine.spoken) == 4
    terms = (Pronunciation(term="siobhan", respelling="Shivawn"),)
    await narrate(replace(script, pronunciations=terms), engine, kept, Shelf(), reports)
    assert engine.spoken[4:] == [("Shivawn came.", "en")]


async def test_what_respelling_makes_too_long_is_said_in_several_calls(reports: Reports) -> None:
    engine = Hum()
    terms = (Pronunciation(term="xyz", respelling="one two three, " * 8),)
    await narrate(replace(PLAIN, text="Say xyz now.", pronunciations=terms), engine, Remembered(), Shelf(), reports)
    assert len(engine.spoken) > 2
    assert all(len(text) <= engine.max_characters for text, _ in engine.spoken)
    assert "".join(text for text, _ in engine.spoken) == f"Say {'one two three, ' * 8} now."


async def test_report_covers_the_text_and_flags_what_is_odd(reports: Reports) -> None:
    class Odd(Hum):
        async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
            self.share = 0.3 if "fast" in text else 4.0 if "slow" in text else 1.0
            pcm = await super().speak(text, voice, speed)
            if "quiet" in text:
                return replace(pcm, samples=bytes(len(pcm.samples)))
            loud = b"\xff\x7f" if "clipped" in text else b"\x00\x20"
            return replace(pcm, samples=loud * (len(pcm.samples) // 2))

    words = ["usual one here", "usual two here", "a fast one here", "a slow one here", "quiet one here", "clipped one"]
    text = "\n\n".join(f"This is {word}." for word in words)
    shelf = Shelf()
    await narrate(replace(PLAIN, text=text, title="Title"), Odd(), Remembered(), shelf, reports)
    title, *found = shelf.report["segments"]
    assert (title["start"], title["end"], title["text"]) == (0, 0, "Title")
    assert "".join(text[one["start"] : one["end"]] for one in found) == text
    assert [one["flags"] for one in found] == [[], [], ["fast"], ["slow"], ["silent"], ["clipped"]]
    assert all(one["charactersPerSecond"] == pytest.approx(10, rel=0.1) for one in found[:2])
