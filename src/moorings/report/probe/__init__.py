"""How people read what probes showed: profiles of one or several subjects, or over rounds, as HTML, Markdown and JSON."""
