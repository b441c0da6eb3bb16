"""Ways to meter what you already use. Each module needs only the library it is named after."""
