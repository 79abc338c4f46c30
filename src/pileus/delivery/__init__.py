"""How an event gets from one service to the next: outbox, retries, dead letters."""
