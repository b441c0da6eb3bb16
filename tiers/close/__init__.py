"""The end of a period: what expires, what is kept, what comes next, what is owed; each boundary once."""
