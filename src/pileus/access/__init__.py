"""Who calls and what they may do: credentials, SigV4, the IAM policy language and its evaluation."""
