"""How people read results: one HTML file, Markdown, JSON and JUnit."""
