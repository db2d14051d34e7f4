"""The command line: verbs for people and for programs, all of them clients of the two HTTP APIs.

`main` declares the verbs and imports nothing heavy, so that help and completion answer at once; each verb's work
stands in a module of its own, which is imported when the verb runs.
"""
