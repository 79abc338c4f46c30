"""The subjects: `run(server, quick)` yields figures as (key, one value per round); what stops it is the error."""
