"""Files: atomic writes, locks, JSON fields, CSV, NPY."""
