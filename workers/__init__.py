"""SmartVoice's synthesis side: manuscripts become chapters, chapters become sound."""
