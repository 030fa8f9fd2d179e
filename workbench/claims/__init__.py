"""Claims: measured, judged by rules fixed beforehand, drawn and reported."""
