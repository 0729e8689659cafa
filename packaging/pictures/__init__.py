"""Pictures and the recording of the real program, for the README and the documentation."""
