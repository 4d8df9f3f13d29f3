"""A small run, and the means to stop it where a test wants it to."""

import tcvae_tf as tc

SMALL = tc.Run(width=16, batch_size=64, thin=5, epochs=4, latent_dim=4)


def same_result(one, two):
    """Whether two records agree in all but time, and the commit, which someone may make meanwhile."""
    aside = ("seconds", "commit")
    return {k: v for k, v in one.items() if k not in aside} == {k: v for k, v in two.items() if k not in aside}


def weights(root, run):
    """All that a run's checkpoint holds: of the model and of the optimizer."""
    import keras

    model = keras.models.load_model(root / run.id / "checkpoint" / "latest.keras")
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def stop(*arguments, **options):
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def in_step(number, act):
    """on_train_batch_end that acts once the model has taken so many steps."""
    return lambda self, batch, logs=None: int(self.model.step.value) == number and act(self, logs)


def cut(run, root, monkeypatch, saved=(18,), at=20):
    """Executes a run until it stops after step `at`, with checkpoints after the steps `saved` and after each epoch."""
    from tcvae_tf import callbacks

    def save(self, batch, logs=None):
        if int(self.model.step.value) in saved:
            self._save(logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_train_batch_end", in_step(at, stop))
        patch.setattr(callbacks.Checkpoint, "on_train_batch_end", save)
        try:
            tc.execute(run, root, verbose=0)
        except KeyboardInterrupt:
            return root / run.id
    raise AssertionError("the run was not stopped")
