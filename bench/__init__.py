"""What Pileus costs and how fast it is, beside its peers, in one run."""
