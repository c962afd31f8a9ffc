"""The command line: one file a group of commands, each a thin cover of a public function."""
