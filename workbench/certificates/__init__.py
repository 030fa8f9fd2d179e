"""Agreement of the hand-written passes with independent ones, measured for a configuration or a trained pack."""
