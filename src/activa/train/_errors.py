"""What training ends with when a loss goes wrong; the last good weights are kept."""


class NonFiniteLossError(RuntimeError):
    """A loss was infinite or not a number."""


class ExplodedLossError(RuntimeError):
    """The reconstruction of the cells became worse than it had been, beyond what training could mend."""
