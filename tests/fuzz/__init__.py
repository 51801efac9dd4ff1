"""Damaged and malicious input for every reader: ``python -m tests.fuzz.run`` (``make fuzz``)."""
