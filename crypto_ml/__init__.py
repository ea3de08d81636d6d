"""The two doors of the crypto company, as its users know them: CryptoLoader and CryptoManager.

They are clients of a Pachyderm server, any one, on which the pipelines of the project crypto are; the server here is as
good as a cluster. Nothing of the engine is imported.

Read next: data_loader.py, manager.py, ../notebooks/crypto.ipynb (both at work).
"""
