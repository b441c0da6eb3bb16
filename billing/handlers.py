"""What billing does when something has happened elsewhere."""
