"""Three months of plausible usage, written through the same services as real usage."""
