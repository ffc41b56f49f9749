"""SmartVoice's web side: who one is, what one has, and the events of it as they happen."""
