"""The mathematics: activations, initializers, losses, optimizers, layers and models, all with axis R first."""
