"""wire: the messages and services of Pachyderm's gRPC API, as data.

- schema: the set of all messages, enums and services, one `.proto` file per package under `proto/`
- descriptor set: the same schema, compiled and committed as `pachyderm.binpb`: installing generates nothing
- message: a protobuf class made from the descriptor set when first asked for
- service, method: what the server registers and the client calls

Read next: pachlet/wire/schema.py.
"""
