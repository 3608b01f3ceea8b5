"""Accounts, what they can prove themselves with, and who is calling."""
