"""Questions about the model itself whose truth is measured: it is trained, and what changed is compared with what it said."""
