"""The statements of MESSI's section 3, checked on discrete distributions by complete enumeration.

``python -m tools.theory`` computes everything and writes the tables and figures of docs/theory.md.
"""
