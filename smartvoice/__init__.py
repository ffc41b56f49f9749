"""What SmartVoice is installed as: the command (`__main__`), and in `lib` its code, where this is no checkout."""
