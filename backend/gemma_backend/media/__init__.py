"""From dropped text to files, and from picture and sound files to request parts."""
