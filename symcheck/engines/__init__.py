"""Who measures: this process, several devices, the workers of a cluster, one shard of many, another day.

A unit of work is (claim, block of elements); what it finds is a list of pieces (see `symcheck.measure.piece`). Engines
differ in where the units run, in nothing else, so that the findings are those of one process to the last count.
"""
