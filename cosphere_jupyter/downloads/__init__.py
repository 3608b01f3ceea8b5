"""Download requests: a selection of a catalogue item's columns and rows, shared by all who ask for the same."""
