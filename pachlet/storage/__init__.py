"""Storage: keep the bytes of files once, and trees of files cheaply.

The words of this room:

- *chunk*: a run of a file's bytes, cut where the content says so, known by its hash and kept once
- *pack*: an append-only file that holds many chunks
- *content*: the bytes of one file, as a list of chunks
- *node*: a piece of a tree, known by its hash; commits share the nodes that they have in common
- *diff*: what was appended and deleted, collapsed; applying a diff to a file set gives the next one
- *file set*: files by path and tag (the datum that wrote them), as a tree

Promises: what was sealed and published is durable; every byte is checked against its hash when it is read;
equal content has equal hashes, however it was written. The room knows no commits and no database: indexes
are handed in.

Read in this order: hashing, chunker, packs, chunks, content, nodes, tree, entries, diffs, fileset.
"""
