"""Pictures of runs and of features: a :class:`~xreid_plugin.visualization.panels.Panel` each, for sheets and pages."""
