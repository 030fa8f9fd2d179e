"""The script that `workbench bench sweep` compares with: Hydra's own sweeper, a `torch.nn` module, autograd, MLflow each epoch."""
