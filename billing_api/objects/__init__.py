"""The objects of the wire: each with every field that any of its clients needs, and how it is made of our rows."""
