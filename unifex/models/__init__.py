"""Images to features to embeddings: backbones and the engines that run them, necks, models on disk, exports.

Gives ``Embedder``; a further backbone is a line of ``zoo.csv``.
"""
