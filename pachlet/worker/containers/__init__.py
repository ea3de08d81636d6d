"""Run images in real containers, by Docker or Podman.

Words: the *engine* is the program that holds images and runs containers, reached through Docker's API, which Podman
speaks too. A *warm* container stays between the attempts of one worker and runs each of them through a small shell
loop; an image without a shell gets a *fresh* container for each attempt.

Promise: the same as every runner's (../interface.py). A container belongs to one worker of one pipeline, and goes with
it.

Read in this order: engine, images, building, loop, attempt, launcher, runner.
"""
