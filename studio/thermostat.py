"""Thermostat: how a simulation is driven, and the OpenMM Context that does it.

Knows integrators and platforms; must not know what moves.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.errors import SettingsError

if TYPE_CHECKING:
    import openmm


@dataclass(frozen=True)
class Thermostat:
    """How a simulation is driven: temperature (K), friction (1/ps), timestep (fs), random seed, and MM steps within each step.

    With more than one MM step the network acts once a step, as an impulse (r-RESPA).
    """

    temperature: float = 300.0
    friction: float = 1.0
    timestep: float = 1.0
    seed: int = 0
    inner: int = 1

    @property
    def schedule(self) -> str:
        """How often what is evaluated."""
        if self.inner == 1:
            return f"single time step, {self.timestep:g} fs"
        return f"r-RESPA, network every {self.timestep:g} fs, MM every {self.timestep / self.inner:g} fs"


def make_context(system: "openmm.System", drive: Thermostat, platform: str | None, threads: int | None) -> "openmm.Context":
    """Where OpenMM moves a system by Langevin dynamics.

    Args:
        system: What moves.
        drive: How.
        platform: OpenMM platform; the fastest there is when left out.
        threads: CPU threads; OpenMM's choice when left out.

    Raises:
        SettingsError: The platform is not available.
    """
    import openmm

    integrator = openmm.LangevinMiddleIntegrator(drive.temperature, drive.friction, drive.timestep / drive.inner / 1000.0)
    integrator.setRandomNumberSeed(drive.seed + 1)  # OpenMM takes 0 for "choose one"
    names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    if platform is None:
        return openmm.Context(system, integrator) if threads is None else make_context(system, drive, "CPU", threads)
    if platform not in names:
        raise SettingsError(f"The OpenMM platform '{platform}' is not available here; expected one of {', '.join(names)}.")
    properties = {"Threads": str(threads)} if platform == "CPU" and threads else {}
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)
