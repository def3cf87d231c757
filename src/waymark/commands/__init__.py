"""The commands of `waymark`. Each imports what it needs when it runs: the help is there at once."""
