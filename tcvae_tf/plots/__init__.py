"""Rows or arrays → matplotlib figures. Trains nothing and imports no TensorFlow."""

from tcvae_tf.plots.curves import Cloud, Sample, against_beta, against_tc, growth, learning_curves, responses
from tcvae_tf.plots.distributions import boxes, joints, mig_distribution
from tcvae_tf.plots.looking import encodes, heat_map, latents, training, traversal, traversal_gif
from tcvae_tf.plots.pictures import Traversal, contact_sheet, shown, traversals
from tcvae_tf.plots.relations import Relation, information, latent_vs_factor
from tcvae_tf.plots.style import COLOURS, need_matplotlib, save, shows_images

__all__ = [
    "COLOURS",
    "Cloud",
    "Relation",
    "Sample",
    "Traversal",
    "against_beta",
    "against_tc",
    "boxes",
    "contact_sheet",
    "encodes",
    "growth",
    "heat_map",
    "information",
    "joints",
    "latent_vs_factor",
    "latents",
    "learning_curves",
    "mig_distribution",
    "need_matplotlib",
    "responses",
    "save",
    "shown",
    "shows_images",
    "training",
    "traversal",
    "traversal_gif",
    "traversals",
]
