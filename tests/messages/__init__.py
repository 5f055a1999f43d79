"""The messages of the command, collected for people to read as prose.

``python -m tests.messages`` writes `messages.txt` anew. Read it from top to bottom, as a user would.
"""
