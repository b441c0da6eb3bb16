"""What arrives at ``/webhooks/``: verified, kept, carried out."""
