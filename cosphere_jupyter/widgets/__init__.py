"""Widgets over the client: everything that one of them does is a call that a person could type, and it shows that call.

A widget never blocks the notebook: its callbacks return at once, what takes time runs on threads of its own, and comes
back as changes of traits. It may be used from any thread.
"""
