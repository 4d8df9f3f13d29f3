"""Words that messages share."""

import pytest

from tcvae_tf import words


def test_an_unknown_name_has_the_nearest_and_all_suggested():
    known = ["beta_vae", "vae"]
    assert words.suggest("betavae", known) == "did you mean 'beta_vae'? choose from beta_vae, vae"
    assert words.suggest("xyzzy", known) == "choose from beta_vae, vae"
    assert words.nearest("bta", ["beta", "batch_size"]) == "beta"
    assert words.nearest("xyzzy", known) is None


@pytest.mark.parametrize(
    ("bound", "digits", "shown"),
    [
        (1.2e-6, 1, "2e-06"),
        (3e-6, 1, "3e-06"),
        (9.2e-6, 1, "1e-05"),
        (9.7e-6, 1, "1e-05"),
        (1.22e-6, 2, "1.3e-06"),
        (1.28e-6, 2, "1.3e-06"),
        (9.91e-6, 2, "1.0e-05"),
        (0.0, 1, "0e+00"),
    ],
)
def test_a_printed_bound_is_a_bound(bound, digits, shown):
    assert words.at_most(bound, digits) == shown
    assert float(shown) >= bound
