"""Built-in synthesizers, a method or model family a file."""
