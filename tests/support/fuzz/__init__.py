"""Damaged and malicious input for every reader: ``python -m tests.support.fuzz.run`` (``make fuzz``)."""
