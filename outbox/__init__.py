"""What happened: audit trail and transactional outbox in one table."""
