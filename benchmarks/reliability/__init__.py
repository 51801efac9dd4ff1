"""Promises of docs/reliability.md, each shown by a program or a test of its own."""
