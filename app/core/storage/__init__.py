"""Manuscripts, texts and audio in a folder or a bucket."""
