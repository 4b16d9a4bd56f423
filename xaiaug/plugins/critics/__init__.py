"""Built-in critics, a method or model family a file."""
