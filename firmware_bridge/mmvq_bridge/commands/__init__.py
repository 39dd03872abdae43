"""What mmvq-bridge can do, a module each: `add_to` adds its words to a parser, `work` does it."""
