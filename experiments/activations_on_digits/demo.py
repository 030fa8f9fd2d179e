"""ReLU, sigmoid and softplus on handwritten digits, five seeds each: which one learns, and how.

The lecture ("ReLU vs. Sigmoid and Tanh", "ReLU vs. Softplus") says that sigmoid saturates and ReLU learns faster. This
shows it for one net and one learning rate: an illustration, not a verdict, for which each unit would need its own rate.
"""

import workbench as wb

if __name__ == "__main__":
    sweep = wb.sweep(experiment="activations_on_digits")
    sweep.show(out=f"figures/{sweep.id}")
