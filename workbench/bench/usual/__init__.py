"""The script that `workbench bench sweep` compares with: Hydra's sweeper, `torch.nn`, autograd, MLflow each epoch."""
