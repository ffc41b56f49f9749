"""A voice for Piper that is small enough to be made by a test: a real network, which hums a note for each phoneme."""

from __future__ import annotations

import json
from pathlib import Path

import onnx.parser
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

# What Piper gives a network, and takes from it. Each phoneme, and each blank between two of them, lasts 35 ms at the
# usual pace; blanks (0) and the marks of beginning and end (1, 2) are silent; a speaker's number raises the note.
_NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
hum (int64[1, phonemes] input, int64[1] input_lengths, float[3] scales{more}) => (float[1, 1, 1, samples] output)
<
    int64 one = {{1}}, int64[4] shape = {{1, 1, 1, -1}}, int64[2] column = {{-1, 1}}, int64 zero = {{0}},
    int64[1] which = {{1}}, float length = {{{length}}}, float step = {{1.0}}, float nought = {{0.0}},
    float[1] lowest = {{110.0}}, float[1] interval = {{4.0}}, float[1] turn = {{{turn}}}, float[1] loudness = {{0.3}},
    float[1] last_mark = {{2.5}}, float[1] raised = {{500.0}}
>
{{
    scale = Gather (scales, which)
    lasting = Mul (scale, length)
    end = Squeeze (lasting)
    time = Range (nought, end, step)
    ids = Cast <to = 1> (input)
    numbers = Reshape (ids, column)
    risen = Mul (numbers, interval)
    note = Add (risen, lowest)
{voiced}
    slope = Mul (pitch, turn)
    phase = Mul (slope, time)
    wave = Sin (phase)
    heard = Greater (numbers, last_mark)
    mask = Cast <to = 1> (heard)
    voice = Mul (wave, mask)
    quiet = Mul (voice, loudness)
    output = Reshape (quiet, shape)
}}
"""
_ALONE = "    pitch = Identity (note)"
_OF_SEVERAL = """    number = Cast <to = 1> (sid)
    raise = Mul (number, raised)
    pitch = Add (note, raise)"""
_SECONDS_PER_ID = 0.035


def make_voice(
    folder: Path, name: str, *, code: str = "en_US", espeak: str = "en-us", rate: int = 22_050, speakers: str = ""
) -> Path:
    """Writes the two files of a voice into `folder`; `speakers` are names, separated by spaces."""
    several = {speaker: number for number, speaker in enumerate(speakers.split())}
    network = onnx.parser.parse_model(
        _NETWORK.format(
            more=", int64[1] sid" if several else "",
            voiced=_OF_SEVERAL if several else _ALONE,
            length=_SECONDS_PER_ID * rate,
            turn=2 * 3.141592653589793 / rate,
        )
    )
    onnx.checker.check_model(network)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(network, path)
    config = {
        "audio": {"sample_rate": rate, "quality": "medium"},
        "espeak": {"voice": espeak},
        "language": {"code": code},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": 256,
        "num_speakers": max(len(several), 1),
        "speaker_id_map": several,
    }
    Path(f"{path}.json").write_text(json.dumps(config), encoding="utf-8")
    return path
