"""What runs inside templates and sandboxes, or is shared with there: it imports the standard library only.

The folder is bound into the template's root and run by whatever Python is there; the shells drop it before they run
anything of a stranger.
"""
