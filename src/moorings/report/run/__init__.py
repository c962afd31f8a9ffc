"""How people read a supervised run: its story as one HTML file, Markdown and JSON."""
