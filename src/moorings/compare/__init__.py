"""Find how behaviour differs between subjects, without being told where to look."""
