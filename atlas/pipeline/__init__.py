"""The order of the stages: collect, name, site. Each is skipped when its inputs have not changed."""
