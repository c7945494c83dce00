"""The figures of a sweep's page: which there are, in which order, and what is said of them.

Name -> (what it shows to those who do not see it, its caption).
"""

from __future__ import annotations

from pathlib import Path

from labrunner.report.pictures import Figures

COMPARED: dict[str, tuple[str, str]] = {
    "validation": (
        "Validation curves of all runs; the metrics.csv of each run holds the numbers",
        "All validation curves, coloured in the order of the swept key; over seeds their mean and band.",
    ),
    "metric_against_key": (
        "Validation metrics at the chosen epoch against each numeric key; the table of runs holds the numbers",
        "Validation metrics at the chosen epoch against each key. Where a line of the last epoch parts from them,"
        " training went on for too long.",
    ),
    "bars": (
        "Validation metrics of options beside each other; the table of runs holds the numbers",
        "Options beside each other, by their validation metrics.",
    ),
    "accuracy_and_trainable": (
        "Accuracy and seconds against the number of parameters that train; the table of runs holds the numbers",
        "What training more of the parameters gains, and what it costs.",
    ),
    "convergence": (
        "Training loss and validation accuracy of all runs, by step and by second",
        "How soon each run gets where, counted in steps and in seconds of training.",
    ),
    "outputs": (
        "The output for the first training sample, step by step, of all runs",
        "How the output for one training sample moves, step by step.",
    ),
    "lr_range": (
        "The learning-rate range test above the results of each learning rate",
        "What the range test suggests, above what full trainings at each learning rate came to.",
    ),
    "updates": (
        "Length of each step over the length of the weights, of all runs, on a log axis",
        "How far a step moves the weights, as a share of their length.",
    ),
    "parameters": (
        "Validation accuracy against the number of parameters; the table of runs holds the accuracies",
        "What larger models gain, a panel for each data set.",
    ),
    "shifts": (
        "Accuracy against how far images are shifted, of all runs",
        "How much accuracy is left when the test images are shifted.",
    ),
    "silhouettes": (
        "How far the classes lie apart at each depth, of all runs",
        "How far the classes lie apart at each depth of the networks.",
    ),
    "twins": (
        "Both losses over each other, their difference, and the largest error of each gradient",
        "Two runs that should be the same: how far they part, and how exact their gradients are.",
    ),
    "activation_functions": (
        "The activation functions of the runs and their derivatives",
        "The activation functions themselves, and their derivatives.",
    ),
    "gradients_by_layer": (
        "Norm of the gradient of each weight matrix before training, of all runs, a panel for each depth",
        "How long the gradients of each layer are before training: whether they vanish or explode on the way back.",
    ),
    "activation_spread": (
        "The spread of each hidden layer's outputs before training, of all runs, a panel for each depth",
        "How much of the signal is left at each layer before training.",
    ),
    "activation_grid": (
        "Histograms of the outputs of some layers, a row for each combination",
        "How the outputs of some layers are spread before training, a row for each combination.",
    ),
    "dead_units": (
        "The share of hidden units whose output is zero for all probed samples, of all runs",
        "The share of hidden units that never speak.",
    ),
    "weights_compared": (
        "Length of all weights by epoch, and how single weights are spread, of all runs",
        "How long the weights get, and how they are spread at the chosen epoch.",
    ),
    "generalization_gap": (
        "Training and validation accuracy of each run beside each other; the table of runs holds the latter",
        "How far training and validation accuracy lie apart, and the best validation accuracy of any epoch.",
    ),
    "loss_surfaces": (
        "The training loss around the way of the weights, a panel for each combination",
        "The training loss around the way that the weights took, a panel for each combination.",
    ),
    "descent": (
        "Adaline's loss by step at each learning rate, plain and above its least on a log axis",
        "How Adaline comes down at each learning rate, and what is left of the loss; the critical rate and the best are"
        " marked.",
    ),
    "boundaries_beside": (
        "The predicted class over the plane, a panel for each combination; the boundary.npz of each run holds it",
        "The predicted class over the plane of the inputs, a panel for each combination; over seeds the first.",
    ),
    "updates_by_epoch": (
        "A perceptron's updates in each epoch and all so far, with Novikoff's bounds",
        "How many updates a perceptron makes in each epoch, and all so far, with Novikoff's bound.",
    ),
    "heat_map": (
        "Two swept keys against each other, coloured by the validation metric; the table of runs holds the numbers",
        "Two keys against each other.",
    ),
    "epochs_to": (
        "Epochs until the validation accuracy reaches a threshold; the metrics.csv of each run holds the numbers",
        "How many epochs each takes to reach a validation accuracy.",
    ),
    "flips": (
        "How many test samples each run has right that another has wrong; flips.csv of a comparison names them",
        "How many test samples the run of a row has right that the run of a column has wrong.",
    ),
}


def figures(folder: Path) -> list[tuple[str, str, str, str]]:
    """(name, picture as a data URI, alt text, caption) of the figures that stand in a sweep's folder."""
    drawn = Figures(folder)
    return [(name, drawn[name], *texts) for name, texts in COMPARED.items() if name in drawn]
