"""python -m tcvae_tf is the command `tcvae`."""

import sys

from tcvae_tf.cli import main

if __name__ == "__main__":
    sys.exit(main())
