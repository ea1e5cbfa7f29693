"""Which vectors are nearest: exact ranking of the candidates that an index type proposes (FAISS flat, lists, Milvus).

Gives ``VectorIndex``, ``Matches``, ``Exclusion`` and the table ``INDEX_TYPES``; takes float32 [N, d] of length one and
knows nothing of images. How alike two vectors are says ``metric.py`` alone.
"""
