"""Records to views to pages. `frame` is the only module that knows MkDocs."""
