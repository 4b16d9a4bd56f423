"""Built-in synthesizers, one method or model family per file."""
