"""From a chapter to what is said of it: segment by segment, by which voice, how fast, and the silence after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.core.messages import Language
from app.core.models import Pronunciation
from app.core.text import language_of
from workers.audio.encode import Cover, Encoding, Tags
from workers.audio.level import Level
from workers.speech.dialogue import Span, cut, dialogue
from workers.speech.engine import Engine
from workers.speech.kept import Spoken, name_of
from workers.speech.normalise import written_out
from workers.speech.pauses import Pauses, without_marks
from workers.speech.respell import respelled
from workers.speech.segments import segments, speakable


@dataclass(frozen=True)
class Sound:
    """How the file of a chapter is to sound, and how it is written."""

    level: Level = field(default_factory=Level)
    encoding: Encoding = field(default_factory=Encoding)
    pauses: Pauses = field(default_factory=Pauses)


@dataclass(frozen=True)
class Script:
    """What is read aloud, and the tags of its file: `artist`, and chapter `track` of the `tracks` of an `album`.

    `language` is what a segment counts as that does not show its own; `voice` is what was asked for, if anything, and
    `dialogue_voice` what speeches are to be read by; `take` counts how often a part was asked for anew.
    """

    text: str
    title: str
    album: str
    artist: str
    track: int
    tracks: int
    language: Language
    voice: str | None
    speed: float = 1.0
    dialogue_voice: str | None = None
    pronunciations: tuple[Pronunciation, ...] = ()
    take: int = 0
    cover: Cover | None = None
    sound: Sound = field(default_factory=Sound)

    @property
    def tags(self) -> Tags:
        return Tags(self.title, self.album, self.artist, self.track, self.tracks, self.language)


@dataclass(frozen=True)
class Utterance:
    """A segment, and the silence that follows it in seconds; `said` is None where there is nothing to say.

    `start` and `end` are its place in the chapter's text; the title, where it is read, has none. `name` is the one
    that the sound of it is kept by; `kept` whether it is, as far as is known.
    """

    text: str
    pause: float
    start: int = 0
    end: int = 0
    said: Spoken | None = None
    name: str = ""
    kept: bool = False

    @property
    def cost(self) -> int:
        """How much work it is, in characters to be voiced."""
        return len(self.said.text) if self.said and not self.kept else 0


def utterances(script: Script, engine: Engine) -> list[Utterance]:
    """The title, unless the text begins with it, and the segments of the text, in order. Raises what `voice_for` does.

    The places of the segments follow on each other from the beginning of the text to its end.
    """
    said = [*_title(script, engine.max_characters), *_text(script, engine)]
    return _with_pauses([_cast(utterance, spoken, script, engine) for utterance, spoken in said])


def _title(script: Script, limit: int) -> Iterator[tuple[Utterance, bool]]:
    title = script.title.strip()
    if script.text.lstrip().startswith(title):
        return
    *most, last = segments(title, script.language, limit)
    pauses = script.sound.pauses
    for text in most:
        yield Utterance(text, pauses.after(text)), False
    yield Utterance(last, pauses.heading), False


def _text(script: Script, engine: Engine) -> Iterator[tuple[Utterance, bool]]:
    """Each segment, and whether it is a speech; segments are cut where speeches begin and end."""
    spoken: list[Span] = dialogue(script.text) if script.dialogue_voice else []
    pauses, title, start = script.sound.pauses, script.title.strip(), 0
    for segment in segments(script.text, script.language, engine.max_characters):
        end = start + len(segment)
        # Only the speeches that reach into this segment.
        near = [span for span in spoken if span[0] < end and span[1] > start]
        for first, last, is_speech in _speaking(script.text, list(cut(start, end, near))):
            text = script.text[first:last]
            yield Utterance(text, pauses.after(text, title=title), first, last), is_speech
        spoken = [span for span in spoken if span[1] > end]
        start = end


def _speaking(text: str, parts: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """`parts`, of which those without anything to say are joined to the one before, else to the one after."""
    joined: list[tuple[int, int, bool]] = []
    for first, last, is_speech in parts:
        if joined and not (speakable(text[first:last]) and speakable(text[joined[-1][0] : joined[-1][1]])):
            before = joined.pop()
            says = is_speech if speakable(text[first:last]) else before[2]
            joined.append((before[0], last, says))
        else:
            joined.append((first, last, is_speech))
    return joined


def _cast(utterance: Utterance, is_speech: bool, script: Script, engine: Engine) -> Utterance:
    """The utterance with the voice that says it, if there is anything to say."""
    if not speakable(utterance.text):
        return utterance
    language = language_of(utterance.text, script.language)
    text = respelled(without_marks(utterance.text), script.pronunciations)
    if engine.wants_words:
        text = written_out(text, language)
    wanted = script.dialogue_voice if is_speech else script.voice
    said = Spoken(text, engine.voice_for(language, wanted), script.speed)
    return replace(utterance, said=said, name=name_of(said, engine))


def _with_pauses(found: list[Utterance]) -> list[Utterance]:
    """Where nothing is said, the longer silence is that of what was said before."""
    result: list[Utterance] = []
    last = None
    for utterance in found:
        if utterance.said:
            last = len(result)
        elif last is not None:
            result[last] = replace(result[last], pause=max(result[last].pause, utterance.pause))
        result.append(utterance)
    return result
