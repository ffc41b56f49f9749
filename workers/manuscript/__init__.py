"""Manuscripts: from a file to a title and chapters of plain text."""
