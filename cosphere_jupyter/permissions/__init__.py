"""One rule for every resource: who may do what with it."""
