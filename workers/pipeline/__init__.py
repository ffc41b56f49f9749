"""The pipeline: a manuscript becomes chapters, a chapter becomes audio."""
