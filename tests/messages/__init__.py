"""The messages of the command, collected for people to read as prose.

``python -m tests.messages`` writes `messages.txt` anew. Read it aloud, from top to bottom.
"""
