"""The `smartvoice` command."""
