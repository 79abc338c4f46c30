"""Pileus: the AWS serverless platform, on a machine of your own."""

__version__ = "0.1.0"
