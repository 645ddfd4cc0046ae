"""What a client can do, one file each. Every file is the order of the steps and nothing else.

`gateway.py` holds the parts that the steps use, `refused.py` the one way out of them, `acknowledge.py` and
`respond.py` the two forms of an answer. Source: `architecture.md` of the design.
"""
