"""The widgets of the notebook: a later part; today the client's objects show themselves."""
