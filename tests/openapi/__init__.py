"""The description of the HTTP interface, held against the interface."""
