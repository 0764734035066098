"""``python -m medfed`` is ``medfed``."""

from medfed.cli import main

if __name__ == "__main__":
    main()
