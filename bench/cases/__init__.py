"""The subjects: `run(server, quick)` yields figures as (key, rounds), see gauge.py; what stops it is the error."""
