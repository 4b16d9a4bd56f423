"""Pixels alone: colours and sharpness, and holes that are filled."""
