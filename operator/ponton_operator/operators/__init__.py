"""The three operators: kopf watches, everything goes into a keyed queue, pure plans say what is to be done. Thin."""
