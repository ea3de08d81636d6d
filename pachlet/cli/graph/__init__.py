"""Draw a graph of repos and pipelines: in letters for a terminal, as a picture for a page.

A *node* is a repo or a pipeline; an *edge* leads from what is read to what reads it. A *layer* is a row of nodes;
an edge over several layers *passes* those between. A *link* is a piece of an edge between neighbouring layers.

Read in this order: model.py, layers.py (which row, in which order), places.py (how far to the right), boxes.py
(letters), svg.py (the picture).
"""
