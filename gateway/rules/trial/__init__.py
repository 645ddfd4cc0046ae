"""Tests in the language: what is given, what is expected, and what was decided instead.

`parse` makes clauses of the syntax tree, `check` looks up every name, `given` makes facts of what a test gives, `run`
decides, `judge` compares, `tell` says why it came out otherwise, `cover` counts which conditions the tests reached,
`junit` writes what CI reads.
Source: the design's page on the rules language, "Tests, in the language".
"""
