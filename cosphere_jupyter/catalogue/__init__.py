"""The data catalogue: which tables there are, what their columns are, who maintains them."""
