"""Run one step: given an image, a folder of inputs and an environment, return what became of it.

Words: an *image* is what a spec names; its *digest* says which code it was. *Preparing* an image copies
its code into a snapshot and makes its environment. A *session* is one worker: it runs datums one after
the other, each attempt in a sandbox of its own (or, with datum batching, all of them in one process). The
*launcher* is the small program that makes the sandboxes.

Promise: a step sees its inputs, its output folder and its code, and nothing else of the user's; nothing
that it started outlives it. This room knows nothing of commits, pipelines or the store.

Read in this order: interface, dockerfile, images, environments, sandbox, launcher, guard, steps, launching,
cells, process, batching.
"""
