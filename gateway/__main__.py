"""`python -m gateway` is `gateway`."""

from __future__ import annotations

import gc

# The imports make some half a million objects that stay for good; the collector would walk them over and over.
gc.disable()

from gateway import cli  # noqa: E402  only what is imported after the line above is spared


def main() -> None:
    """Run the command line, with the collector at work again."""
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
