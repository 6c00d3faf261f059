"""Imported once by the server that job processes are forked from, in runs that register heads to the face template."""

from refbench.anonymizers.template import template_brain, template_face, template_head

for atlas in (template_head, template_face, template_brain):
    atlas()  # each keeps what it has read
