"""Pure functions on arrays; nothing here knows of prompts' texts, models or files."""
