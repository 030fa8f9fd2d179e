"""Corrections to the lecture's slides, each with measurements of the printed formula.

`ERRATA` is the table that the tests run, and that `workbench.lecture.errata_page` writes.
All numbers are float64 with fixed seeds. A case that does not concern a gradient names its own measure.
"""

from workbench.lecture.counterexamples import (
    absolute_value_wrong_on_xor,
    best_r2,
    bump_approximation,
    chain_rule_examples_wrong,
    folded_angle_best_accuracy,
    folded_angle_error,
    largest_gradient_of_unit_steps,
    monotone_wrong_on_xor,
    one_sided_slope,
    relu_approximation,
    share_of_largest_slope,
    step_and_rule_disagree,
    wrong_on_and_after_training,
)
from workbench.lecture.erratum import Case, Erratum
from workbench.lecture.misprints import (
    AverageOfEachColumn,
    InputEverywhere,
    SkippedLayer,
    SkippedLayerInZeros,
    WeightsOfTheNextLayer,
    WeightsOfTheNextLayerIfAny,
    error,
    problem,
    slope_kept_at_the_output,
    softmax_bias_left_out,
    softmax_weights_unpenalized,
    without_penalty,
)
from workbench.lecture.textbook import ManyExamples, OneExample, softmax
from workbench.nn.activations import identity, relu, sigmoid, tanh, unit_step

SOFTMAX = softmax()

ERRATA = (
    Erratum(
        "E1",
        "Backpropagation Algorithm: Vectorization for Dataset of m Examples",
        "δ⁽ˡ⁾ = ((W⁽ˡ⁺¹⁾)ᵀ δ⁽ˡ⁺¹⁾) • f′(z⁽ˡ⁾)",
        "δ⁽ˡ⁾ = ((W⁽ˡ⁾)ᵀ δ⁽ˡ⁺¹⁾) • f′(z⁽ˡ⁾)",
        (
            Case("3-4-2, as printed: W⁽³⁾ is asked for", lambda: error(WeightsOfTheNextLayer(), problem(3, 4, 2))),
            Case(
                "3-4-5-2, as printed where W⁽ˡ⁺¹⁾ exists, W⁽ˡ⁾ elsewhere",
                lambda: error(WeightsOfTheNextLayerIfAny(), problem(3, 4, 5, 2)),
            ),
            Case(
                "4-4-4-4, as printed where W⁽ˡ⁺¹⁾ exists, W⁽ˡ⁾ elsewhere",
                lambda: error(WeightsOfTheNextLayerIfAny(), problem(4, 4, 4, 4)),
            ),
            Case("4-4-4-4, corrected", lambda: error(ManyExamples(), problem(4, 4, 4, 4)), harmless=True),
        ),
    ),
    Erratum(
        "E2",
        "Vectorization for Dataset of m Examples; Softmax for Dataset of m Examples",
        "∇J by W⁽ˡ⁾ = δ⁽ˡ⁺¹⁾(a⁽ˡ⁾)ᵀ / m",
        "∇J by W⁽ˡ⁾ = δ⁽ˡ⁺¹⁾(a⁽ˡ⁾)ᵀ / m + λW⁽ˡ⁾ for the J(W, b) that is minimized",
        (
            Case("3-4-2, squared error, λ = 0.01", lambda: error(without_penalty, problem(3, 4, 2, lam=0.01))),
            Case("3-4-2, squared error, λ = 0.1", lambda: error(without_penalty, problem(3, 4, 2, lam=0.1))),
            Case("3-4-3, softmax, λ = 0.1", lambda: error(without_penalty, problem(3, 4, 3, output=SOFTMAX, lam=0.1))),
            Case("3-4-2, squared error, λ = 0", lambda: error(without_penalty, problem(3, 4, 2)), harmless=True),
            Case("3-4-2, λ = 0.1, corrected", lambda: error(ManyExamples(), problem(3, 4, 2, lam=0.1)), harmless=True),
        ),
    ),
    Erratum(
        "E3",
        "Backpropagation Algorithm: Softmax for 1 Example",
        "for l = n_l, n_l − 2, n_l − 3, …, 2",
        "for l = n_l, n_l − 1, n_l − 2, …, 2",
        (
            Case("n_l = 2 (3-4-3)", lambda: error(SkippedLayer(), problem(3, 4, 3, output=SOFTMAX)), harmless=True),
            Case(
                "n_l = 3 (3-4-4-3): δ⁽²⁾ is never computed",
                lambda: error(SkippedLayer(), problem(3, 4, 4, 3, output=SOFTMAX)),
            ),
            Case(
                "n_l = 4 (3-4-4-4-3): δ⁽³⁾ is never computed",
                lambda: error(SkippedLayer(), problem(3, 4, 4, 4, 3, output=SOFTMAX)),
            ),
            Case(
                "n_l = 3, deltas that start as zeros",
                lambda: error(SkippedLayerInZeros(), problem(3, 4, 4, 3, output=SOFTMAX)),
            ),
            Case(
                "n_l = 4, deltas that start as zeros",
                lambda: error(SkippedLayerInZeros(), problem(3, 4, 4, 4, 3, output=SOFTMAX)),
            ),
            Case(
                "n_l = 4, corrected", lambda: error(OneExample(), problem(3, 4, 4, 4, 3, output=SOFTMAX)), harmless=True
            ),
        ),
    ),
    Erratum(
        "E4",
        "Inference: Forward Propagation",
        "z_i⁽ˡ⁾ = Σ_j W_ij⁽ˡ⁾ x_j + b_i⁽ˡ⁾",
        "z_i⁽ˡ⁺¹⁾ = Σ_j W_ij⁽ˡ⁾ a_j⁽ˡ⁾ + b_i⁽ˡ⁾, j = 1, …, s_l",
        (
            Case("3-2, no hidden layer", lambda: error(InputEverywhere(), problem(3, 2)), harmless=True),
            Case("3-4-2", lambda: error(InputEverywhere(), problem(3, 4, 2))),
            Case("4-4-2: x fits in place of a⁽²⁾", lambda: error(InputEverywhere(), problem(4, 4, 2))),
            Case("4-4-2, corrected", lambda: error(ManyExamples(), problem(4, 4, 2)), harmless=True),
        ),
    ),
    Erratum(
        "E5",
        "From Cartesian to Polar Coordinates",
        "θ = tan⁻¹|y/x| (first quadrant)",
        "right as printed, for the first quadrant, and x ≠ 0; for the whole plane it is θ = atan2(y, x)",
        (
            Case("360 points of the unit circle", folded_angle_error, "largest error of θ, radians"),
            Case("the same points", folded_angle_best_accuracy, "best accuracy of telling y > 0 from (r, θ)"),
        ),
        remark=True,
    ),
    Erratum(
        "E6",
        "NN Learning: Softmax Regression; Learning: Backpropagation for Regression",
        "n_l is the input of the softmax, while the penalty sums over l = 1, …, n_l − 1",
        "the penalty runs over every weight: l = 1, …, n_l with the softmax slides' n_l",
        (
            Case(
                "3-4-3, λ = 0.01",
                lambda: error(softmax_weights_unpenalized, problem(3, 4, 3, output=SOFTMAX, lam=0.01)),
            ),
            Case(
                "3-4-3, λ = 0.1", lambda: error(softmax_weights_unpenalized, problem(3, 4, 3, output=SOFTMAX, lam=0.1))
            ),
            Case(
                "3-4-3, λ = 0",
                lambda: error(softmax_weights_unpenalized, problem(3, 4, 3, output=SOFTMAX)),
                harmless=True,
            ),
        ),
    ),
    Erratum(
        "E7",
        "Backpropagation Algorithm: Softmax (1) and (2)",
        "a gradient for W⁽ⁿ⁾ of the softmax layer, none for b⁽ⁿ⁾ (n = n_l)",
        "∇J by b⁽ⁿ⁾ = a⁽ⁿ⁺¹⁾ − y",
        (
            Case("3-4-3, b⁽²⁾ never moves", lambda: error(softmax_bias_left_out, problem(3, 4, 3, output=SOFTMAX))),
            Case("3-4-3, corrected", lambda: error(OneExample(), problem(3, 4, 3, output=SOFTMAX)), harmless=True),
        ),
    ),
    Erratum(
        "E8",
        "Learning: Backpropagation for Regression; Backpropagation Algorithm",
        "h = f(z) at the output of a regression, with the hidden units' f",
        "h = z, so that step 2 is δ = h − y",
        (
            Case("f logistic, targets from 25 to 346", lambda: best_r2(sigmoid(), 25.0, 346.0), "largest R² possible"),
            Case("f = tanh, targets from −2 to 2", lambda: best_r2(tanh(), -2.0, 2.0), "largest R² possible"),
            Case("f = relu, targets from −2 to 2", lambda: best_r2(relu(), -2.0, 2.0), "largest R² possible"),
            Case("f(z) = z, targets from −2 to 2", lambda: best_r2(identity(), -2.0, 2.0), "largest R² possible"),
            Case(
                "3-4-2, h = z, step 2 keeps the logistic f′",
                lambda: error(slope_kept_at_the_output, problem(3, 4, 2, f=sigmoid)),
            ),
            Case(
                "3-4-2, h = z, step 2 keeps f′ of f(z) = z",
                lambda: error(slope_kept_at_the_output, problem(3, 4, 2, f=identity)),
                harmless=True,
            ),
        ),
    ),
    Erratum(
        "E9",
        "Activation Functions; Perceptron vs. Logistic Neuron",
        "unit step f(0) = 1, but the decision is 1 only if wᵀx > 0; no bias",
        "one of the two at 0, and wᵀx + b in the rule",
        (
            Case("integer w and x in {−2, …, 2}²", lambda: step_and_rule_disagree(0.0), "share decided apart"),
            Case("the same, wᵀx ≠ 0", lambda: step_and_rule_disagree(0.0, off_ties=True), "share decided apart"),
            Case("the same with b = 1", lambda: step_and_rule_disagree(1.0, off_ties=True), "share decided apart"),
        ),
    ),
    Erratum(
        "E10",
        "Universal Approximation Theorem",
        "Let σ be a nonconstant, bounded, and monotonically-increasing continuous function",
        "right as printed: a theorem names what suffices. It is not necessary: units that are unbounded, as those "
        "recommended later, or not monotone, approximate too",
        (
            Case("sin 2πx by 16 relu units", lambda: relu_approximation(16), "largest error on [0, 1]"),
            Case("sin 2πx by 64 relu units", lambda: relu_approximation(64), "largest error on [0, 1]"),
            Case("sin 2πx by 64 bumps max(0, 1 − |z|)", lambda: bump_approximation(64), "largest error on [0, 1]"),
        ),
        remark=True,
    ),
    Erratum(
        "E11",
        "Neuron Function; Perceptron vs. Logistic Neuron; ReLU and Generalizations",
        "often transformed through a monotonic activation function; "
        "Logistic neuron, ReLU, Tanh have the same limitation",
        "right as printed: “often”, and for the units that are named, all of which are monotone. |z| and maxout, "
        "listed later, are not, and one |x₁ − x₂| is XOR: the limit is not that of a single neuron",
        (
            Case("one unit |x₁ − x₂|", absolute_value_wrong_on_xor, "XOR points decided wrongly"),
            Case("one monotone unit, best of 9³", monotone_wrong_on_xor, "XOR points decided wrongly"),
        ),
        remark=True,
    ),
    Erratum(
        "E12",
        "Vectorization for Dataset of m Examples; Softmax for Dataset of m Examples",
        "∇J by b⁽ˡ⁾ = δ⁽ˡ⁺¹⁾.col_avg()",
        "the mean of the columns, [s_{l+1}]; the average of each column is [m]",
        (
            Case("3-4-2, m = 6, average of each column", lambda: error(AverageOfEachColumn(), problem(3, 4, 2))),
            Case("4-4-4, m = 4: [m] fits b", lambda: error(AverageOfEachColumn(), problem(4, 4, 4, m=4))),
            Case("3-4-2, m = 1: [1] broadcasts", lambda: error(AverageOfEachColumn(), problem(3, 4, 2, m=1))),
            Case("1-1-1, m = 1", lambda: error(AverageOfEachColumn(), problem(1, 1, 1, m=1)), harmless=True),
            Case("3-4-2, m = 6, mean of the columns", lambda: error(ManyExamples(), problem(3, 4, 2)), harmless=True),
        ),
    ),
    Erratum(
        "E13",
        "Activation Functions; Backpropagation Algorithm",
        "δ_i = (a_i − y_i) × f′(z_i), for the f of “Activation Functions”",
        "f′ of ReLU at 0 is a convention (0 here; from the left it is 0, from the right 1), and f′ of the unit step is "
        "0 wherever it exists: backpropagation cannot train the perceptron. The product by f′ is a dot, a bullet and a "
        "circle on different slides, and δ_k(y) of the softmax slides is an indicator, no error",
        (
            Case("3-4-2 of unit steps", largest_gradient_of_unit_steps, "largest derivative of J"),
            Case("a unit step on AND", lambda: wrong_on_and_after_training(unit_step()), "points wrong after training"),
            Case("a logistic unit", lambda: wrong_on_and_after_training(sigmoid()), "points wrong after training"),
            Case("relu at 0, from the left", lambda: one_sided_slope(relu(), -1e-6), "difference quotient"),
            Case("relu at 0, from the right", lambda: one_sided_slope(relu(), 1e-6), "difference quotient"),
        ),
    ),
    Erratum(
        "E14",
        "ReLU vs. Sigmoid and Tanh",
        "Sigmoid and Tanh saturate for values not close to 0",
        "right as printed, but “not close” is another distance for each: at z = 2 tanh saturates, the logistic "
        "function does not yet. What it lacks is slope, 1/4 at most; and the scale that counts is that of z in a "
        "trained net",
        (
            Case("logistic, z = 2", lambda: share_of_largest_slope(sigmoid(), 2.0), "f′(z) / f′(0)"),
            Case("tanh, z = 2", lambda: share_of_largest_slope(tanh(), 2.0), "f′(z) / f′(0)"),
            Case("logistic, z = 0", lambda: one_sided_slope(sigmoid(), 1e-6), "f′(0)"),
            Case("tanh, z = 0", lambda: one_sided_slope(tanh(), 1e-6), "f′(0)"),
        ),
        remark=True,
    ),
    Erratum(
        "E15",
        "Univariate Chain Rule for Differentiation; Neural Network Model",
        "f = f ∘ g ∘ h = f(g(h(x))); b_i⁽ˡ⁾ is the bias associated unit unit i",
        "F = f ∘ g ∘ h and dF/dx, as f is one of the three already and x the only variable; the bias associated with "
        "unit i. The examples of both chain rules are right",
        (
            Case("univariate", lambda: chain_rule_examples_wrong("univariate"), "points wrong, of 5"),
            Case("multivariate", lambda: chain_rule_examples_wrong("multivariate"), "points wrong, of 5"),
        ),
    ),
    Erratum(
        "E16",
        "A Rapidly Evolving Field",
        "greedy layer-wise pretraining with auto-encoders (2012); batch normalization (2014), replaced by layer "
        "normalization; Transformers (2018)",
        "greedy pretraining 2006, with restricted Boltzmann machines too; batch normalization in February 2015 (arXiv "
        "1502.03167), and layer normalization replaced it in Transformers, which date from 2017, not in convolutional "
        "networks",
        (),
    ),
)
