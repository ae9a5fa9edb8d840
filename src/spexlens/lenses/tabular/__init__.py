"""The tabular lens: the features of one row are the players; absent ones are drawn elsewhere."""
