"""The book: from the audio of the chapters to one file."""
