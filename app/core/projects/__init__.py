"""Projects, their chapters and books, and what each user may have of them."""
