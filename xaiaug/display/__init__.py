"""What a person sees on a terminal or in a notebook: safe text, and the progress of a run."""
