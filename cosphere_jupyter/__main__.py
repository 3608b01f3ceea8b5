"""``python -m cosphere_jupyter`` is ``jupyter cosphere``."""

from cosphere_jupyter.app import main

if __name__ == "__main__":
    main()
