"""Settings of the likelihood computed by the probability flow."""

from pydantic import Field

from bayescope.config.section import SigmaRange


class FlowConfig(SigmaRange):
    """How log p(x|y) is integrated along the probability flow."""

    solver: str = Field(
        "adaptive", description="`adaptive`: Dormand-Prince with error control; `heun`, `rk4`: fixed steps, even in log σ."
    )
    tolerance: float = Field(
        1e-4, gt=0, lt=1, description="Of the `adaptive` solver: relative to a pixel's size, and in nats per pixel."
    )
    steps: int = Field(64, ge=1, description="Steps of a solver with fixed steps.")
    trace: str = Field(
        "rademacher",
        description="Trace of the Jacobian. `exact`: a backward pass per pixel; `rademacher`, `gaussian`: Hutchinson's "
        "estimate with such probes, the same for every class.",
    )
    probes: int = Field(4, ge=1, description="Probes of Hutchinson's estimate.")
    sigma_min: float = Field(0.01, gt=0, description="Noise level σ at which the flow starts, in model units.")
    sigma_max: float = Field(80.0, gt=0, description="Noise level σ at which the flow ends.")
