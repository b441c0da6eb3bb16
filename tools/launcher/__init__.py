"""The launcher: makes the environment, keeps the local servers alive, starts the product and its tests."""
