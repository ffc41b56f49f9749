"""What both sides know of manuscripts: formats, archives, markup and text encodings."""
