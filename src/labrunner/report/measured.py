"""What is said of the figures of probes, and of what was frozen.

Name -> (what it shows to those who do not see it, its caption).
"""

from __future__ import annotations

from collections.abc import Mapping

MEASURED: dict[str, tuple[str, str]] = {
    "loss_per_step": (
        "The loss of each training step, against steps and against seconds; probes/steps.csv holds its numbers",
        "The loss of each batch before its step: how much it jumps is what the batch's size and the learning rate do.",
    ),
    "outputs": (
        "The probability of a few training samples' class, step by step; probes/outputs.csv holds its numbers",
        "How sure the model is of a few training samples on the way.",
    ),
    "gradients": (
        "Norm of the gradient of each weight matrix, by layer and by epoch; probes/gradients.csv holds its numbers",
        "How long the gradient of each layer is: one that is tiny does not learn.",
    ),
    "activations": (
        "Spread, zeros and dead units of each hidden layer; probes/activations.csv holds its numbers",
        "What comes out of the hidden layers: its spread, how much of it is zero, and the units that never speak.",
    ),
    "activation_histograms": (
        "Histograms of the outputs of hidden layers; probes/activation_histograms.csv holds its numbers",
        "How the outputs of each layer are spread, before training and at the chosen epoch.",
    ),
    "weights": (
        "Norm of each weight matrix, by layer and by epoch; probes/weights.csv holds its numbers",
        "How long the weights of each layer are.",
    ),
    "weight_histograms": (
        "Histograms of the weights; probes/weight_histograms.csv holds its numbers",
        "How the weights of each layer are spread, before training and at the chosen epoch.",
    ),
    "updates": (
        "Length of each step over the length of the weights it moves; probes/updates.csv holds its numbers",
        "How far a step moves each layer, as a share of its length.",
    ),
    "boundaries": (
        "The predicted class over the plane at several epochs; probes/boundaries.csv names the files of its numbers",
        "The decision regions as they came about.",
    ),
    "margins": (
        "The model's line beside the best one, with the samples; boundary.npz and probes/ hold its numbers",
        "Where the model draws its line, beside the best separator with its margin, or that of least squares.",
    ),
    "perceptron_updates": (
        "Updates of the perceptron in each epoch and so far; probes/separation_updates.csv holds its numbers",
        "Every mistake is an update. Where a line separates the classes, Novikoff's bound says how many there can be.",
    ),
    "loss_surface": (
        "The training loss around the way of the weights; probes/loss_surface.csv and its neighbours hold its numbers",
        "The loss as a landscape, over two weights or over the two directions in which the weights went furthest.",
    ),
    "trajectory": (
        "Each weight by training step; probes/trajectory.csv holds its numbers",
        "Every weight on its way.",
    ),
    "kernels": (
        "The kernels of the first convolution; probes/kernels.csv holds their numbers",
        "What the first convolution looks for, before training and at the chosen epoch.",
    ),
    "feature_maps": (
        "Maps of each layer for an image; probes/feature_maps.csv holds their numbers",
        "What each layer makes of an image, channel by channel, each layer on its own scale.",
    ),
    "pooling": (
        "What goes into each pooling and what comes out; probes/feature_maps.csv holds the numbers",
        "Pooling at work: each block of pixels becomes one.",
    ),
    "embedding": (
        "The last features in two dimensions, coloured by class; probes/embedding.csv holds its numbers",
        "The features that the head gets to see, by principal components and by t-SNE; distances between groups of the"
        " latter mean little.",
    ),
    "silhouette": (
        "How far the classes lie apart at each depth; probes/silhouette.csv holds its numbers",
        "How far the classes lie apart in what each depth makes of the inputs.",
    ),
    "shift": (
        "Accuracy on images that are shifted; probes/shift.csv holds its numbers",
        "What a shift of the images costs: convolution and pooling alone make no network indifferent to it.",
    ),
    "gradcam": (
        "Heat maps over a few images, of what speaks for the predicted and the true class; probes/gradcam.csv holds"
        " their numbers",
        "Where the network finds what speaks for a class (Grad-CAM): bright places raise its score. The maps are as"
        " coarse as those of the last convolution.",
    ),
    "freezing": (
        "Parameters of each stage that train and that are frozen, and when a stage thaws; freeze.csv holds the numbers",
        "What trained: each stage from the inputs to the head, on a log scale, and the epoch from which on it moved.",
    ),
    "gradient_check": (
        "Relative error of each gradient against finite differences; probes/gradient_check.csv holds its numbers",
        "The gradients that were learnt with, against differences of the loss itself.",
    ),
    "lr_range": (
        "Smoothed loss against a growing learning rate, the suggestion marked; probes/lr_range.csv holds its numbers",
        "The learning-rate range test: the suggestion is where the loss falls fastest.",
    ),
}


def measured(drawn: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(picture, alt, caption) of the figures of probes that were drawn."""
    return [(drawn[name], *texts) for name, texts in MEASURED.items() if name in drawn]
