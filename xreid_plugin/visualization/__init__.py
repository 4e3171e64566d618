"""Pictures of runs and of features, and the page that collects them.

A picture is a :class:`~xreid_plugin.visualization.panels.Panel`, which the tool writes to a sheet and the page to a
figure of its own.
"""
