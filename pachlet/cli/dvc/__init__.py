"""Read a DVC project and write pipelines that do what its stages do.

A stage runs as a whole or not at all; a pipeline runs what changed. So what DVC calls a stage becomes a pipeline, with
its command unchanged, and a folder whose files the command treats each by itself (`--each`) becomes its datums.

Promise: nothing of DVC is needed, and nothing of the project is changed: files are added to it.

Read in this order: templates.py, project.py, pipelines.py; then ../verbs/import_dvc.py.
"""
