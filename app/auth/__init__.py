"""Who is asking: sessions, bearer tokens, local accounts."""
