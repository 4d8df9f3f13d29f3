"""Measures of disentanglement: functions of Codes alone, never of a model, an image or a data set's name."""

from tcvae_tf.metrics.information import MIG, mig

__all__ = ["MIG", "mig"]
