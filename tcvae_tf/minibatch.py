r"""Estimates of log q(z) from a minibatch, and their gradients without a [B, B, D] tensor.

A minibatch z_i ~ q(z|x_i), i = 1…B, of N images estimates log q(z_i) and log q(z_ij) by

    log q̂(z_i) = log Σ_j W_ij q(z_i|x_j),    log q̂(z_ik) = log Σ_j W_ij q(z_ik|x_j)

(Chen et al. 2018, section 3.1), and the estimators differ in the weights W alone: `mws`, `mss`, `mss_released` and
`uniform`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tcvae_tf import distributions


def mws_log_weights(batch_size: int, dataset_size: int) -> np.ndarray:
    """Minibatch weighted sampling (section 3.1, equation 3): W_ij = 1/(N·B), the paper's default. [B, B].

    Biased downwards: the rows sum to 1/N, and E q̂(z) is below q(z). And since q̂(z_i) is no less than
    q(z_i|x_i)/(N·B), index-code mutual information beyond log B nats is counted as total correlation.

    Raises:
      ValueError: B > N.
    """
    _check_sizes(batch_size, dataset_size)
    return np.full((batch_size, batch_size), -np.log(float(dataset_size) * float(batch_size)))


def mss_log_weights(batch_size: int, dataset_size: int) -> np.ndarray:
    """Minibatch stratified sampling (appendix on MSS), E q̂(z) = q(z). [B, B], M = B − 1.

    W_ii = 1/N for the image that z came from, (N − M)/(N·M) for one other, here i + 1 modulo B, and 1/M for the rest;
    every row sums to one.

    Raises:
      ValueError: B < 2, or B > N.
    """
    _check_sizes(batch_size, dataset_size, least=2)
    own, stratified, rest = _stratified_weights(batch_size, dataset_size)
    weights = np.full((batch_size, batch_size), rest)
    row = np.arange(batch_size)
    weights[row, row] = own
    weights[row, (row + 1) % batch_size] = stratified
    return np.log(weights)


def mss_released_log_weights(batch_size: int, dataset_size: int) -> np.ndarray:
    """The matrix that the released code builds for MSS; other libraries have it too. Only to match old numbers. [B, B].

    It strides a flattened B×B matrix by M + 1 = B, which is one row and not one diagonal: the weight 1/N of a sample's
    own image lands in column 0 of every row and the stratified weight in column 1, so E q̂(z) ≠ q(z).

    Raises:
      ValueError: B < 2, or B > N.
    """
    _check_sizes(batch_size, dataset_size, least=2)
    own, stratified, rest = _stratified_weights(batch_size, dataset_size)
    weights = np.full((batch_size, batch_size), rest)
    weights[:, 0] = own
    weights[:, 1] = stratified
    weights[batch_size - 2, 0] = stratified
    return np.log(weights)


def uniform_log_weights(batch_size: int, dataset_size: int) -> np.ndarray:
    """W_ij = 1/B: exact when the batch is the whole data set; for tests and small data. [B, B].

    Raises:
      ValueError: B > N.
    """
    _check_sizes(batch_size, dataset_size)
    return np.full((batch_size, batch_size), -np.log(batch_size))


ESTIMATORS: dict[str, Callable[[int, int], np.ndarray]] = {
    "mws": mws_log_weights,
    "mss": mss_log_weights,
    "mss_released": mss_released_log_weights,
    "uniform": uniform_log_weights,
}


def _stratified_weights(batch_size: int, dataset_size: int) -> tuple[float, float, float]:
    """The weights of the sample's own image, of the stratified one and of each other."""
    n, m = float(dataset_size), float(batch_size) - 1  # products of integers may overflow
    return 1 / n, (n - m) / (n * m), 1 / m


def check_batch(estimator: str, batch_size: int | None, dataset_size: int) -> None:
    """Raises ValueError where an estimator has no weights for such a batch."""
    if batch_size is None:
        raise ValueError("log q(z) needs a fixed batch size; batch with drop_remainder=True, as data.batches does")
    _check_sizes(batch_size, dataset_size, least=2 if estimator.startswith("mss") else 1)


def _check_sizes(batch_size: int, dataset_size: int, least: int = 1) -> None:
    if not least <= batch_size <= dataset_size:
        raise ValueError(f"the estimator needs {least} ≤ batch size ≤ N; got batch size {batch_size}, {dataset_size=}")


def log_weight_rows(
    estimator: str, rows: tf.Tensor, batch_size: int, dataset_size: int, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Rows of an estimator's matrix log W, made where they are used: [R, B], or a scalar where all weights are one.

    Args:
      estimator: a key of ESTIMATORS.
      rows: their numbers, int32 [R].
    """
    if estimator in ("mws", "uniform"):
        return tf.constant(ESTIMATORS[estimator](1, dataset_size)[0, 0] - np.log(batch_size), dtype)
    own, stratified, rest = (tf.constant(np.log(w), dtype) for w in _stratified_weights(batch_size, dataset_size))
    row, column = rows[:, None], tf.range(batch_size)
    if estimator == "mss":
        is_own, is_stratified = column == row, column == (row + 1) % batch_size
    else:
        is_own, is_stratified = (column == 0) & (row != batch_size - 2), column < 2
    return tf.where(is_own, own, tf.where(is_stratified, stratified, rest))


def pairwise_log_density(z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, posterior: str = "normal") -> tf.Tensor:
    """log q(z_ik|x_jk) for all pairs of samples i and images j: z [D, R], loc and scale [D, B] → [D, R, B].

    (z − μ)/σ is formed pair by pair: expanding the square into a matrix product cancels in float32 when σ is small.
    Latents come first, which keeps the long axis innermost: twice as fast on a CPU as [R, B, D].
    """
    return distributions.posterior(loc[:, None, :], scale[:, None, :], posterior).log_prob(z[:, :, None])


def log_qz(
    z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor, log_weights: tf.Tensor, posterior: str = "normal"
) -> tuple[tf.Tensor, tf.Tensor]:
    """log q̂(z_i) and Σ_k log q̂(z_ik), each [R] in nats, through a [D, R, B] tensor.

    Args:
      z: samples, latents first, [D, R].
      loc, scale: of q(z|x_j), latents first, [D, B].
      log_weights: log W_ij, [R, B] or a scalar.
    """
    pairwise = pairwise_log_density(z, loc, scale, posterior)
    joint = tf.reduce_logsumexp(tf.reduce_sum(pairwise, axis=0) + log_weights, axis=1)
    return joint, tf.reduce_sum(tf.reduce_logsumexp(pairwise + log_weights, axis=2), axis=0)


def weighted_log_qz(
    z: tf.Tensor,
    loc: tf.Tensor,
    scale: tf.Tensor,
    dataset_size: int,
    estimator: str,
    weights: tuple[tf.Tensor, tf.Tensor],
    posterior: str = "normal",
    rows: int | None = None,
    first: int | tf.Tensor = 0,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """a·Σ_i log q̂(z_i) + b·Σ_ik log q̂(z_ik), and the two estimates for each sample, each [S] in nats.

    The samples are all of the batch, S = B, or some consecutive ones of it. They are taken in blocks of a few against
    all images, and the gradient of a block's share of the sum with its value, so that nothing larger than [D, rows, B]
    is ever kept, and that in the processor's cache. `log_qz` of the whole batch is the same without the blocks, and
    its gradient by the tape. Gradients pass through the sum alone, not through the estimates.

    Args:
      z: [S, D], float32 or float64, each drawn from the q(z|x) of its own image. Where one latent of another image is
        e⁸⁰ times as dense there, float32 loses first the gradient and then the sum.
      loc, scale: of the whole batch, [B, D]; `scale` is σ.
      dataset_size: N.
      estimator: a key of ESTIMATORS.
      weights: a and b.
      posterior: family of q(z|x).
      rows: samples in a block, which divide S; None chooses for the device.
      first: the place of the first sample in the batch.
    """
    (samples, latents), batch_size = z.shape, loc.shape[0]
    rows = rows or rows_of_a_block(batch_size, latents, samples)
    # A Python float would be cast by way of float32.
    joint_weight, product_weight = (
        tf.cast(weight, z.dtype) if tf.is_tensor(weight) else tf.constant(weight, z.dtype) for weight in weights
    )

    def block(index: tf.Tensor, z_block: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor):
        """The share of a block, its estimates, and the gradients of the share, with few passes over [D, rows, B].

        With u = (z − μ)/σ and f the density at loc 0 and scale 1, log q(z_ik|x_jk) = log f(u_ijk) − log σ_jk. The share
        has by it the derivative w_ijk = a·(its part of the sum in q̂(z_i)) + b·(its part of that in q̂(z_ik)), and so the
        gradient w (log f)'(u) ∂u − w ∂log σ.
        """
        start = first + index * rows
        log_weights = log_weight_rows(estimator, start + tf.range(rows), batch_size, dataset_size, z.dtype)
        own_loc, own_scale = (tf.slice(array, [0, start], [latents, rows]) for array in (loc, scale))
        log_own = distributions.posterior(own_loc, own_scale, posterior).log_prob(z_block)
        inverse = 1 / scale
        u = (z_block[:, :, None] - loc[:, None, :]) * inverse[:, None, :]
        with tf.GradientTape() as tape:
            tape.watch(u)
            log_f = distributions.posterior(tf.zeros([], z.dtype), tf.ones([], z.dtype), posterior).log_prob(u)
        score = tape.gradient(log_f, u)
        pairwise = log_f - tf.math.log(scale)[:, None, :]

        log_joint = tf.reduce_sum(pairwise, axis=0) + log_weights
        largest = tf.reduce_max(log_joint, axis=1)
        joint_terms = tf.exp(log_joint - largest[:, None])
        joint_sum = _sum_over_images(joint_terms)
        # Of a single latent the sample's own density stands in for the largest: it is one of the terms, so the sum
        # cannot vanish, and z is drawn from it, so no other is e⁸⁰ times as large.
        product_terms = tf.exp(pairwise + (log_weights - log_own[:, :, None]))
        product_sum = _sum_over_images(product_terms)
        joint = largest + tf.math.log(joint_sum)
        product = tf.reduce_sum(log_own + tf.math.log(product_sum), axis=0)
        share = tf.reduce_sum(joint_weight * joint + product_weight * product)

        of_joint, of_product = joint_weight / joint_sum, product_weight / product_sum
        w = joint_terms * of_joint[:, None] + product_terms * of_product[:, :, None]
        dz = _sum_over_images(w * score * inverse[:, None, :])
        dloc = -_sum_over_samples(w * score) * inverse
        dscale = -_sum_over_samples(w * score * u + w) * inverse
        return share, (joint, product), (dz, dloc, dscale)

    @tf.custom_gradient
    def blocks(z: tf.Tensor, loc: tf.Tensor, scale: tf.Tensor):
        count = samples // rows
        z_blocks = tf.transpose(tf.reshape(z, [count, rows, latents]), [0, 2, 1])
        loc, scale = tf.transpose(loc), tf.transpose(scale)

        def step(index, total, kept, gradients):
            share, estimates, (dz, dloc, dscale) = block(index, z_blocks[index], loc, scale)
            kept = [array.write(index, value) for array, value in zip(kept, (*estimates, dz), strict=True)]
            return index + 1, total + share, kept, [gradients[0] + dloc, gradients[1] + dscale]

        shapes = ([rows], [rows], [latents, rows])
        kept = [tf.TensorArray(z.dtype, size=count, element_shape=shape) for shape in shapes]
        start = (0, tf.zeros([], z.dtype), kept, [tf.zeros_like(loc), tf.zeros_like(scale)])
        limit = {"maximum_iterations": count, "parallel_iterations": 1}
        _, total, kept, gradients = tf.while_loop(lambda index, *_: index < count, step, start, **limit)
        joint, product = (tf.reshape(array.stack(), [samples]) for array in kept[:2])
        dz = tf.reshape(tf.transpose(kept[2].stack(), [0, 2, 1]), [samples, latents])
        whole = [dz, *(tf.transpose(gradient) for gradient in gradients)]

        def gradient(upstream: tf.Tensor, *_: tf.Tensor):
            return [upstream * part for part in whole]

        return (total, joint, product), gradient

    total, joint, product = blocks(z, loc, scale)
    return total, tf.stop_gradient(joint), tf.stop_gradient(product)


def _on_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _sum_over_images(terms: tf.Tensor) -> tf.Tensor:
    """The sum along the last axis.

    On a CPU as a product with ones: XLA's own sum adds one number after the other there and takes five times as long.
    Not on a GPU, where a product may be in TF32.
    """
    if _on_gpu():
        return tf.reduce_sum(terms, axis=-1)
    rows = tf.reshape(terms, [-1, terms.shape[-1]])
    return tf.reshape(tf.linalg.matvec(rows, tf.ones(rows.shape[1:], terms.dtype)), terms.shape[:-1])


def _sum_over_samples(terms: tf.Tensor) -> tf.Tensor:
    """The sum [D, rows, B] → [D, B]. On a CPU eight at a time, which XLA unrolls; over more it takes several times as
    long."""
    latents, rows, images = terms.shape
    if _on_gpu() or rows % 8:
        return tf.reduce_sum(terms, axis=1)
    eights = tf.reduce_sum(tf.reshape(terms, [latents, rows // 8, 8, images]), axis=2)
    return tf.add_n(tf.unstack(eights, axis=1))


def rows_of_a_block(batch_size: int, latents: int, samples: int | None = None) -> int:
    """The number of samples in a block: a divisor of S, the samples there are, by default of B.

    On a CPU sixteen where they divide S, else at most eight, measured at B = 512 … 2048: more rows leave the cache, and
    with fewer two threads wait for each other more often; 32 at B = 2048 and D = 10, a tenth faster there. On a GPU as
    many as fill 256 MB. A small batch is one block.
    """
    samples = samples or batch_size
    if samples * batch_size * latents <= 2**16:
        return samples
    most = min(samples, max(8, 2**26 // (batch_size * latents)))
    large = [16, 32] if batch_size >= 2048 and 32 * batch_size * latents <= 2**20 else [16]
    choices = range(1, most + 1) if _on_gpu() else (*range(1, 9), *large)
    return max(rows for rows in choices if samples % rows == 0)
