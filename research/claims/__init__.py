"""The study of docs/claims.md: does each claim of the paper hold on locations that no network was trained on?

``python -m research.claims.run`` trains the networks of :mod:`research.claims.plan`, evaluates each on its held-out
locations (:mod:`research.claims.measure`), and writes the results; ``python -m research.claims.table`` makes tables.
"""
