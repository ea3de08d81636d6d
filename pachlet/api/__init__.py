"""The gRPC door: one module per service, each turning messages into calls of the rooms below and back.

Words: a *handler* answers one RPC; a *service* is an object with a method per RPC that it implements. An RPC of the
schema that no service implements answers UNIMPLEMENTED with its own name.

Read in this order: handlers.py, names.py, messages.py, pfs_service.py.
"""
