"""Publishing: checks of a finished site."""
