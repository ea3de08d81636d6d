"""What is measured, and on what it is measured against.

Read next: main_job.py.
"""
