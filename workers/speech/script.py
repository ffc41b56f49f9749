"""From a chapter to what is said of it: segment by segment, by which voice, how fast, and the silence after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, takewhile

from app.core.errors import JobError
from app.core.manuscripts.text import language_of
from app.core.projects.models import Pronunciation
from app.core.vocabulary import Language
from workers.audio.encode import Cover, Encoding, Tags
from workers.audio.leveller import Level
from workers.core.cancellation import Check, unchecked
from workers.speech.dialogue import Span, cut, dialogue
from workers.speech.engine import Engine
from workers.speech.normalise import written_out
from workers.speech.pauses import Pauses, without_marks
from workers.speech.pronunciation import Respelling
from workers.speech.repeated_runs import shortened
from workers.speech.segment_cache import Spoken, name_of
from workers.speech.segments import segments, speakable

_MAX_GROWTH = 5  # times as many characters to say as the text has
_SPARE = 1000  # characters


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


def utterances(script: Script, engine: Engine, check: Check = unchecked) -> list[Utterance]:
    """The title, unless the text begins with it, and the segments of the text, in order. Raises what `voice_for` does,
    and JobError (`too_much_to_say`) where respelling makes far more of the text than it is.

    The places of the segments follow on each other from the beginning of the text to its end. `check` is called before
    each, and ends the work where it raises.
    """
    respell, found, left = Respelling(script.pronunciations), [], _MAX_GROWTH * (len(script.text) + _SPARE)
    for utterance, is_speech in chain(_title(script, engine.max_characters), _text(script, engine)):
        check()
        found.append(_cast(utterance, is_speech, script, engine, respell))
        left -= len(said.text) if (said := found[-1].said) else 0
        if left < 0:
            raise JobError("too_much_to_say", "The project's pronunciations make this chapter many times as long.")
    return _with_pauses(found)


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
    spoken = deque(dialogue(script.text) if script.dialogue_voice else [])
    pauses, title, start = script.sound.pauses, script.title.strip(), 0
    for segment in segments(script.text, script.language, engine.max_characters):
        end = start + len(segment)
        # Only the speeches that reach into this segment.
        near = _reaching(spoken, start, end)
        for first, last, is_speech in _speaking(script.text, list(cut(start, end, near))):
            text = script.text[first:last]
            yield Utterance(text, pauses.after(text, title=title), first, last), is_speech
        start = end


def _reaching(spoken: deque[Span], start: int, end: int) -> list[Span]:
    """The spans that reach into `start` to `end`; those that end before are taken out."""
    while spoken and spoken[0][1] <= start:
        spoken.popleft()
    return list(takewhile(lambda span: span[0] < end, spoken))


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


def _cast(utterance: Utterance, is_speech: bool, script: Script, engine: Engine, respell: Respelling) -> Utterance:
    """The utterance with the voice that says it, if there is anything to say."""
    if not speakable(utterance.text):
        return utterance
    language = language_of(utterance.text, script.language)
    text = shortened(respell(without_marks(utterance.text)))
    if engine.wants_words:
        text = _written_out(text, language, engine.max_characters)
    wanted = script.dialogue_voice if is_speech else script.voice
    said = Spoken(text, engine.voice_for(language, wanted), script.speed)
    return replace(utterance, said=said, name=name_of(said, engine))


def _written_out(text: str, language: Language, limit: int) -> str:
    """`text` as it is to be read; piece by piece where respelling made it long: the rules look at some characters, but
    the time that they take grows faster than the text."""
    if len(text) <= limit:
        return written_out(text, language)
    return "".join(written_out(piece, language) for piece in segments(text, language, limit))


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
