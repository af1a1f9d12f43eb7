"""Workers: they load what they are given and run blocks of its calls in an order that is given.

One protocol, several workers: this process, and processes of their own. A worker decides nothing.
"""
