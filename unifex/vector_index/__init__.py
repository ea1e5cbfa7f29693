"""Which vectors are nearest: exact ranking after a shortlist of candidates, from FAISS or Milvus.

Gives ``VectorIndex`` and ``build``; takes float32 [N, d] of length one and knows nothing of images.
"""
