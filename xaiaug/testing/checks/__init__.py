"""The rules that plugins follow, as checks: a module for each group of rules."""
