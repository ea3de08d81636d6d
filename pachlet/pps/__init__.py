"""PPS: pipelines, their jobs, and the datums that jobs are cut into.

A *pipeline* turns the commits of its input into commits of its output repo. A *job* is one such turn. A
*datum* is what one run of the step sees: some files of the input, picked by globs.

Read in this order: inputs.py, datums.py.
"""
