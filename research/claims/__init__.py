"""The study of docs/claims.md: does each claim of the paper hold on locations that no network was trained on?

``python -m research.claims.run`` trains and measures the networks of :mod:`research.claims.plan`;
``python -m research.claims.page`` makes the table, the figure and the page.
"""
