"""References for the hand-written passes: autograd, central differences, torch modules, textbook forms."""
