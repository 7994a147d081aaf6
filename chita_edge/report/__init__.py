"""Tables, progress bars and the HTML page for people."""
