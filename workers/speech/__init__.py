"""Speech: from text to segments, from segments to sound."""
