"""Ways to spend less, computed from recorded usage alone: figures, never prompts."""
