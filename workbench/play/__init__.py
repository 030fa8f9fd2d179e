"""``workbench play``: a local page on which a pack of nets trains while one watches and changes it."""
