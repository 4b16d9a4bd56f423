"""Built-in classifiers, a method or model family a file."""
