"""The pipeline system: specs become jobs, inputs become datums, and datums are run, skipped and recorded.

Words: a *pipeline* is a spec and its repos; a *job* is its work on one commit set; a *datum* is what one run of its
code sees; a datum whose inputs and salt are those of an earlier job is *skipped* and keeps that job's output.

Promise: a datum's output and its record are stored in one transaction, so after a crash no recorded datum runs again
and each output exists once.

Read in this order: states.py, inputs.py, datums.py, pipelines.py, jobs.py, planning.py, datum_folder.py, running.py,
scheduler.py, logbook.py.
"""
