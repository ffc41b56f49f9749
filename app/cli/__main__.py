"""`python -m app.cli` is `smartvoice`."""

from app.cli.main import app

app()
