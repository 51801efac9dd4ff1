"""The command line: one short file per verb; what a verb needs is imported when it runs."""
