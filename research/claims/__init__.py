"""The study of docs/claims.md: does each claim of the paper hold on locations that no network was trained on?

``python -m research.claims.run`` trains the networks of :mod:`research.claims.plan`, measures each on the locations
that it was kept from (:mod:`research.claims.measure`), and writes what it measured; ``python -m research.claims.table``
makes tables of it.
"""
