"""SmartVoice from another program: its HTTP interface and its events, as the command line uses them."""
