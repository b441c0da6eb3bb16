"""What organizations, as merchants, sell to customers of their own."""
