"""Built-in explainers, a method or model family a file."""
