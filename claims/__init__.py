"""The study of docs/claims.md: does each claim of the paper hold on places that no network was trained on?

``python -m claims.run`` trains the networks of :mod:`claims.plan`, measures each on the places that it was kept from
(:mod:`claims.measure`), and writes what it measured; ``python -m claims.table`` makes tables of it.
"""
