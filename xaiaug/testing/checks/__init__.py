"""The laws a plugin keeps, a module for each kind of law."""
