"""Specs: the JSON or YAML in which users write their pipelines down.

A *spec* is one pipeline's description; a *position* is the line and column of something in it. Every mistake
is a *problem*, named with its position, its field, what was found and what is wanted; no text whatever gives
anything else. A *rule* is what a problem breaks, an *edit* what mends it.

Read in this order: parse.py (from text to specs), check.py and fields.py (which fields there are),
defaults.py (what is filled in), validate.py (what the server refuses), lint.py (all that is wrong), mend.py."""
